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
# runs by their place before the latest, alone and in groups, for every verb that takes runs
expect 0 '^metrics: a = 2, b = 3$' "$flt" results compare last-1 last
expect 0 '^metrics: a = 1,3, b = 2$' "$flt" results compare 1,last last-1
expect 0 '"a": "2,3", "b": "1"' "$flt" results compare last-1,last last-2 --json
expect_sentence 2 'run 3 stands there twice' "$flt" results compare 3,last 1
expect_sentence 2 'fewer than 3 runs come before the latest, run 3' "$flt" results compare 1 last-3
for word in 0 -1 last-x last- lastly +3 ' 3' 3x 99999999999999999999 ''; do
    expect_sentence 2 'names no run; allowed: a number from 1 on, last' "$flt" results compare 1 -- "$word"
    [ "$word" = '' ] || expect_sentence 2 'names no run; allowed: a number from 1 on, last' "$flt" results show -- "$word"
done
expect 0 '^run *2$' "$flt" results show last-1
expect 0 '^run 2  eval  done' "$flt" results tail last-1
expect 0 '' "$flt" results tag last-1 middle
expect 0 '' "$flt" results note last-2 'the first'
expect 0 '^middle' "$flt" results show 2
expect 0 'the first' "$flt" results show 1
expect_sentence 2 'fewer than 3 runs' "$flt" results plot last-3
expect_sentence 2 'allowed here: the number' "$flt" results rm --yes last-1
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
expect_sentence 2 'no evaluation of this set is stored' "$flt" results best --task @nosuch
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
