# flt results show, tag, note, rm, gc, schema, export, import, tail.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2
expect 0 'adam' "$flt" eval --optimizers adam --tasks booth --steps 30 --seeds 1 --seed 5
expect 0 '█' "$flt" results show last
expect 0 '"metrics"' "$flt" results show 1 --json
expect 0 '' "$flt" results tag 1 baseline good
expect 0 '' "$flt" results tag 1 good --remove
expect 0 '' "$flt" results note last 'a short note'
expect 0 'a short note' "$flt" results show last
expect_sentence 2 'one word' "$flt" results tag 1 'two words'
expect 0 'leaderboard' "$flt" results schema
expect 0 'loss_iqm' "$flt" results schema leaderboard
expect_sentence 2 'no table' "$flt" results schema lead
expect 0 '^1,baseline' "$flt" results export tag
expect 0 '"name": "baseline"' "$flt" results export tag --format jsonl
expect 0 '"evaluation"' "$flt" results export
expect_sentence 2 'name it' "$flt" results export --format csv
expect_sentence 2 'jsonl' "$flt" results export --format xml
expect_sentence 3 'cannot be written' "$flt" results export -o no/such/file
expect 0 '' "$flt" results export --format json -o all.json
if command -v python3 >/dev/null; then
    expect 0 '2' python3 -c 'import json; print(len(json.load(open("all.json"))["run"]))'
fi
expect 0 '2 runs added' "$flt" results import test.db --db copy.db
expect 0 '0 runs added.*2 known' "$flt" results import test.db --db copy.db
expect_sentence 2 'itself' "$flt" results import test.db
expect_sentence 3 'nowhere.db' "$flt" results import nowhere.db --db copy.db
expect_sentence 2 'yes' "$flt" results rm 1 --db copy.db </dev/null
expect 0 '' "$flt" results rm --yes 1 --db copy.db
expect_sentence 2 'no run 1' "$flt" results rm --yes 1 --db copy.db
expect 0 'became' "$flt" results gc --db copy.db
expect 0 'done' "$flt" results tail
expect 0 'run 1 .*done' "$flt" results tail 1
expect 2 'RUN NAME' "$flt" results tag 1
for verb in 'tag 1 x' 'note 1 x' 'rm --yes 1' gc; do
    # shellcheck disable=SC2086
    expect_sentence 3 'no such file' "$flt" results $verb --db typo.db
done
missing typo.db
head -c 5000 /dev/zero >foreign.db
for verb in list 'show 1' best 'compare 1 2' schema plot report tail 'export tag' 'tag 1 x' gc 'import test.db'; do
    # shellcheck disable=SC2086
    expect_sentence 3 'not a database' "$flt" results $verb --db foreign.db
done
finish
