# The experiments' quick modes: the same path as the full ones with tiny models, and a table with a row for each model.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
export FLT=$flt
unset OMP_NUM_THREADS

# table NAME ROWS: the script prints a header and ROWS rows whose third column is the number of seeds, with numbers behind it
table() {
    expect 0 '' bash "$FLT_SOURCE_DIR/scripts/experiments/$1.sh" --quick
    head -n 1 out.txt | grep -q '^model  *lr  *seeds  *test  *plus_minus_95' || fail "$1 prints no header: $(head -n 1 out.txt)"
    [ "$(grep -c -E ' (0\.003|0\.01) +2 +[0-9.]+ +[0-9.]+ ' out.txt)" -eq "$2" ] || fail "$1 has not $2 rows: $(cat out.txt)"
}

table bytes_lm 9
grep -q 'order-2 byte model on the same split: 2\.[0-9]* bits per byte' out.txt || fail "no baseline: $(tail -n 1 out.txt)"
table digits_vit 9
table molecules 11
grep -q 'error of predicting the mean: [0-9.]*$' out.txt || fail "no baseline: $(tail -n 1 out.txt)"
table listops 12
table pathfinder 12

expect 0 '' bash "$FLT_SOURCE_DIR/scripts/experiments/lengths.sh" --quick
head -n 1 out.txt | grep -q '^model  *us@64  *MiB@64  *us@128  *MiB@128' || fail "lengths prints no header: $(head -n 1 out.txt)"
[ "$(grep -c -E '( +[0-9.]+ +[0-9]+){2} *$' out.txt)" -eq 12 ] || fail "lengths has not 12 rows: $(cat out.txt)"
expect 0 '' bash "$FLT_SOURCE_DIR/scripts/experiments/meta_compare.sh" raw --quick
[ "$(grep -c -E '^softmax_regression +[a-z]+\.0 +0\.01 ' out.txt)" -eq 5 ] || fail "meta_compare has not 5 rows: $(cat out.txt)"
expect 2 "'nosuch' is no comparison" bash "$FLT_SOURCE_DIR/scripts/experiments/meta_compare.sh" nosuch
expect 2 "raw has no variant 'nosuch'" env VARIANTS='flt nosuch' bash "$FLT_SOURCE_DIR/scripts/experiments/meta_compare.sh" raw

expect 2 "no program 'nosuch'" env FLT=nosuch bash "$FLT_SOURCE_DIR/scripts/experiments/bytes_lm.sh" --quick
finish
