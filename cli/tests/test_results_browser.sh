# The report in a real browser, on a phone and on a desktop: no error on the console, tables sort and filter, every figure is there.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ]; then
    echo "SKIPPED: no Chromium is installed (Debian: apt install chromium); the report was not looked at in a browser"
    exit 77
fi
expect 0 'adam' "$flt" eval --optimizers sgd,adam,nadamw --tasks quadratic,booth --steps 40 --seeds 3
expect 0 'ladder' "$flt" verify --check ladder,fourier,encoding --n 32,64 --m 16,64 --r 4,16 --mechanism flt,performer
expect 0 '' "$flt" bench attention exact flt --n 32,64 --m 16 --reps 2
expect 0 '' "$flt" results report -o report.html
figures='"figure-error-m", "figure-error-r", "figure-fidelity", "figure-time", "figure-bench-time", "figure-profile", "figure-curves-eval"'
{ cat report.html; echo '<script>'; sed "s/EXPECTED_FIGURES/[$figures]/" "$FLT_SOURCE_DIR/cli/tests/report_browser.js"; echo '</script>'; } >page.html

cat >phone.html <<'HTML'
<!DOCTYPE html><title>nothing</title><script>addEventListener("message", e => document.title = e.data)</script>
<iframe src="page.html" width="390" height="844"></iframe>
HTML

# look PAGE: loads it and prints its title; what the console says lands in console.txt.
look() {
    timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$PWD/profile" --window-size=1280,900 \
        --enable-logging=stderr --virtual-time-budget=5000 --dump-dom "file://$PWD/$1" 2>console.txt | sed -n 's/.*<title>\(.*\)<\/title>.*/\1/p'
}
for page in phone.html page.html; do
    title=$(look "$page")
    [[ $title == *' hold' ]] || fail "$page: ${title:-it did not load: $(tail -n 3 console.txt)}"
    grep 'CONSOLE' console.txt && fail "$page: the console is not empty"
done
rm -rf profile
finish
