# flt results plot: through gnuplot, and a sentence where it is missing.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2
expect_sentence 2 'verify. records' "$flt" results plot --figure error-m
expect_sentence 2 'did you mean' "$flt" results plot --figure curvs
expect_sentence 2 'png or .svg' "$flt" results plot -o x.pdf
expect_sentence 2 'no run 9' "$flt" results plot 9
expect_sentence 2 'nothing to draw' "$flt" results plot --metric "x' OR 1 --"
gnuplot=$(command -v gnuplot)
mkdir -p empty
expect_sentence 2 'gnuplot is not installed' env PATH="$PWD/empty" "$flt" results plot
if [ -n "$gnuplot" ]; then
    expect 0 'loss/adam' "$flt" results plot
    expect 0 'loss/adam' "$flt" results plot 1 --metric loss/adam/quadratic
    expect 0 '' "$flt" results plot -o "it's.svg"
    grep -q '<svg' "it's.svg" || fail 'no SVG'
    expect 0 '' "$flt" results plot -o curves.png
    [ "$(head -c 4 curves.png | tail -c 3)" = PNG ] || fail 'no PNG'
fi
finish
