# flt results list: filters, sorting, attacks; the verb may stand after options.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2
expect 0 'adam' "$flt" eval --optimizers adam --tasks booth --steps 30 --seeds 1 --seed 5
runs() { "$flt" results list --csv "$@" 2>err.txt | tail -n +2 | cut -d, -f1 | tr -d '\r' | tr '\n' ' '; }
check() {
    local want=$1
    shift
    local got
    got=$(runs "$@")
    [ "$got" = "$want" ] || fail "list $* gave '$got', not '$want': $(cat err.txt)"
}
check '2 1 '
check '1 ' --optimizer sgd
check '2 1 ' --optimizer adam
check '2 ' --task booth
check '2 1 ' --since 2d --status done --kind eval
check '' --status failed
check '2 ' --where 'steps > 20 and seed = 5'
check '2 ' --where 'not (steps < 25)'
check '1 2 ' --sort steps
check '2 1 ' --sort=-steps
check '2 ' --limit 1
expect 0 'eval' "$flt" results --db test.db list --limit 1
expect 0 'eval' "$flt" results --where 'seeds = 2' --json
expect_sentence 2 'letter' "$flt" results list --where "kind = 'x' ; DROP TABLE run"
expect_sentence 2 'did you mean' "$flt" results list --where 'step < 3'
expect_sentence 2 'interrupted' "$flt" results list --status "done' OR '1"
expect_sentence 2 'age' "$flt" results list --since "0' OR 1"
expect_sentence 2 'no run has' "$flt" results list --sort '1; DROP TABLE run'
check '' --tag "x' OR 1=1 --"
check '2 1 '
expect 0 '--where' "$flt" results list --help
expect 0 'compare\|list' "$flt" results --help
finish
