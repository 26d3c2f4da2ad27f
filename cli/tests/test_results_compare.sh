# flt results compare and best, on an eval run with several rates and a verify run.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 40 --seeds 2 --seed 7
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 40 --seeds 2 --seed 8
expect 0 'steps *20 *40' "$flt" results compare 1 2
expect 0 'final_loss.*adam on quadratic, 40' "$flt" results compare 2 3
expect 0 'too few' "$flt" results compare 2 3
# each run has two seeds: they are pooled, and the mean of the run is not counted beside them
counts() { "$flt" results compare "$@" --csv | tr -d '\r' | sed -n 's/^final_loss,"\{0,1\}adam on quadratic, 40 steps"\{0,1\},.*,\([0-9]*,[0-9]*\)$/\1/p'; }
[ "$(counts 2 3)" = 2,2 ] || fail "seeds of 2 and 3: $(counts 2 3)"
[ "$(counts 2 2,3)" = 2,4 ] || fail "seeds of 2 and 2,3: $(counts 2 2,3)"
expect 0 '"timings"' "$flt" results compare 2 3 --json
expect 0 'a = 1, b = 2,3' "$flt" results compare 1 2,3
if command -v python3 >/dev/null; then
    "$flt" results compare 1 2 3 --json >all.json
    expect 0 '2' python3 -c 'import json; print(len(json.load(open("all.json"))))'
fi
expect_sentence 2 'joined by commas' "$flt" results compare 1 '2;DROP TABLE run'
expect_sentence 2 'no run 99' "$flt" results compare 1 99
expect 2 'A B' "$flt" results compare 1
expect 0 'iqm' "$flt" results best --task quadratic
[ "$("$flt" results best --task quadratic --csv | sed -n 2p | cut -d, -f2)" = adam ] || fail 'adam is not the best'
best() { "$flt" results best "$@" --csv | tr -d '\r'; }
[ "$(best --task quadratic | grep -c ',3,0,40,')" -eq 2 ] || fail "seeds 7, 8 and 8, 9 are three: $(best --task quadratic)"
best --task quadratic | awk -F, 'NR > 1 && !($4 <= $3 && $3 <= $5) { bad = 1 } END { exit bad }' || fail "an interval leaves its mean out"
expect 0 'sgd' "$flt" results best --metric ns_per_param
# bits per byte: less is better
for lr in 1e-4 1e-2; do expect 0 '' "$flt" fit bytes_rnn --steps 40 --set lr=$lr --quiet --db bytes.db; done
[ "$(best --task bytes_rnn --metric test_metric --db bytes.db | sed -n 2p | cut -d, -f9)" = 0.01 ] || fail "more bits come first: $(best --task bytes_rnn --metric test_metric --db bytes.db)"
expect 0 '' "$flt" results best --metric error_total
expect_sentence 2 'unknown' "$flt" results best --metric 'final_loss; DROP TABLE run'
expect_sentence 2 'no evaluation of it is stored' "$flt" results best --task "x' OR 1=1 --"
expect 0 '^ *3' "$flt" results sql 'SELECT count(*) FROM run'

# seeds that diverged are in no mean, and are counted
expect 0 'sgd' "$flt" eval --optimizers sgd:lr=1e6,adam --tasks quadratic --steps 40 --seeds 2 --seed 7 --db diverged.db
expect 0 'sgd' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 40 --seeds 2 --seed 7 --db diverged.db
expect 0 '^final_loss,"sgd on quadratic, 40 steps",,,,,,[0-9.]*,2,,0,2' "$flt" results compare 1 2 --csv --db diverged.db
expect 0 '^final_loss,"sgd on quadratic, 40 steps",,,,,[0-9.]*,,,2,2,0' "$flt" results compare 2 1 --csv --db diverged.db
grep -q '^test_metric' out.txt && fail 'a metric that the task has not is compared'
# a run counts once in a group
expect_sentence 2 'run 2 stands there twice' "$flt" results compare 2,3,2 3
expect_sentence 2 'run 3 stands there twice' "$flt" results compare 2 3,3
# what was set differs, and a side without it has its column all the same
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 40 --seeds 2 --seed 7 --set beta1=0.8
expect 0 '^set.beta1 *- *0.8$' "$flt" results compare 2 4
expect 0 '^set.beta1 *0.8 *-$' "$flt" results compare 4 2
expect 0 '"a":.*null' "$flt" results compare 2 4 --json
expect 0 'adam' "$flt" eval --optimizers sgd,adam:beta1=0.8 --tasks quadratic --steps 40 --seeds 2 --seed 7
expect 0 '^optimizers *sgd,adam *sgd,adam:beta1=0.8$' "$flt" results compare 2 5
finish
