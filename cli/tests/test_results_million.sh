# Every verb on a million rows of metrics: in a hundred runs, and in one. It says what each took and judges none of it by the clock; the
# size is judged.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2
before=$("$flt" results sql 'SELECT count(*) AS n FROM metric' --csv | tr -d '\r' | tail -n 1)

# ask TEXT ARGUMENTS..: `flt results ARGUMENTS` prints TEXT; how long it took goes to the log.
ask() {
    local text=$1 from to
    shift
    from=$(date +%s%N)
    expect 0 "$text" "$flt" results "$@"
    to=$(date +%s%N)
    printf '%6d ms  flt results %s\n' $(((to - from) / 1000000)) "$*"
}

for shape in many one; do
    cp test.db $shape.db
    "$MAKE_MILLION" $shape.db $shape || fail "no rows in $shape.db"
    export FLT_DB=$shape.db
    size=$(stat -c %s $shape.db)
    echo "$shape: $size bytes"
    [ "$size" -lt 40000000 ] || fail "a million rows take $size bytes"
    ask "^ *$((1000000 + before))\$" sql 'SELECT count(*) FROM metric'
    ask '199  train' list
    ask '199  train' list --where 'filler_3 < 2 and lr = 0.09' --sort=-filler_0_loss
    ask 'filler_1_loss .*[▁▂▃▄▅▆▇█]' show 199
    ask '"filler_0_loss"' show 199 --json
    ask 'differences' compare 1 199
    ask 'adam' best
    command -v gnuplot >/dev/null && ask '' plot 199 -o curves.svg
    grep -q 'filler_2_loss' curves.svg 2>/dev/null || ! command -v gnuplot >/dev/null || fail "no curve in $shape"
    ask 'is written' report -o report.html
    ask 'run 199 .*done' tail 199
    ask '' tag 199 big
    ask '' note 199 'a million rows'
    ask 'leaderboard' schema
    ask 'filler_3' sql "SELECT metric, points FROM last_metric WHERE run = 199"
    ask '' export leaderboard -o leaderboard.csv
    ask 'became' gc
    ask '' rm --yes 199
done
finish
