# flt eval: labels and weights of several optimizers, sets of tasks, tuning of the whole grid, speeds, Ctrl-C.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
w=$FLT_SOURCE_DIR/optimizers/weights/flt.safetensors
small=digits_mlp:width=4,batch=4
query() { "$flt" results sql "$@" --csv | tail -n +2 | tr -d '\r'; } # SQL [--db FILE]
equals() { [ "$1" = "$2" ] || fail "${3:-line ${BASH_LINENO[0]}}: '$1' is not '$2'"; }

# ---- who is compared
expect 0 'plain has no weights (--weights FILE, or flt@FILE; .shipped. for those of flt)' "$flt" eval --optimizers "flt@$w,plain=flt,other=flt:lr=0.01/lr_time=true@$w,adam,slow=adam:beta1=0.99/beta2=0.9999" \
    --tasks $small --steps 20 --seeds 2
equals "$(query 'SELECT DISTINCT optimizer FROM evaluation ORDER BY 1' | tr '\n' ' ')" 'adam flt other plain slow ' labels
equals "$(query "SELECT count(*) FROM evaluation WHERE weights LIKE '%flt.safetensors' AND optimizer IN ('flt', 'other')")" 6 weights
equals "$(query "SELECT DISTINCT options FROM evaluation WHERE optimizer = 'slow'")" '"beta1=0.99,beta2=0.9999"' 'settings of one'
equals "$(query "SELECT count(DISTINCT final_loss) FROM evaluation WHERE seed IS NULL")" 5 'each is another'
equals "$(query "SELECT count(*) FROM last_metric WHERE metric = 'loss/slow/$small'")" 3 'curves by label'
equals "$(query "SELECT DISTINCT baseline FROM evaluation")" adam baseline
# a label changes no number
expect 0 '' "$flt" eval --optimizers "flt@$w,adam" --tasks $small --steps 20 --seeds 2
equals "$(query "SELECT count(*) FROM evaluation a JOIN evaluation b USING(optimizer, seed, final_loss, speedup) WHERE a.run_id = 1 AND b.run_id = 2")" 4 'the same bits'

expect_sentence 2 "two are called 'flt'.*a=flt,b=flt" "$flt" eval --optimizers "flt,flt@$w"
expect_sentence 2 'weights stand behind its name' "$flt" eval --optimizers "flt=$w"
expect_sentence 2 'not learned' "$flt" eval --optimizers "adam@$w"
expect_sentence 2 "no parameter 'beta3'" "$flt" eval --optimizers adam:beta3=1
expect_sentence 2 "'x' is not key=value" "$flt" eval --optimizers adam:x
expect_sentence 2 'no file behind' "$flt" eval --optimizers flt@
expect_sentence 2 'a label has' "$flt" eval --optimizers 'a/b=adam'
expect_sentence 2 'a label has' "$flt" eval --optimizers '=adam'
expect_sentence 2 "eval's own" "$flt" eval --optimizers adam-full=adam
expect_sentence 2 'did you mean' "$flt" eval --optimizers x=adma
expect_sentence 2 'out of range\|allowed' "$flt" eval --optimizers adam:beta1=2
expect_sentence 3 'nosuch' "$flt" eval --optimizers flt@nosuch
expect_sentence 2 'without a file of its own' "$flt" eval --optimizers "flt@$w,adam" --weights "$w"
expect_sentence 2 'not among' "$flt" eval --optimizers adam,sgd --baseline lion

# ---- speeds: the baseline is as fast as itself, one that stands still is slower, one that flies off counts nothing
expect 0 'never' "$flt" eval --optimizers adam:lr=0.01,still=sgd:lr=0,wild=sgd:lr=1e6 --tasks digits_mlp:width=8,batch=16 --steps 200 --seeds 3 --db speed.db
equals "$(query "SELECT DISTINCT speedup FROM evaluation WHERE optimizer = 'adam'" --db speed.db)" '1.0'
equals "$(query "SELECT DISTINCT speedup > 0 AND speedup < 1 AND diverged = 0 FROM evaluation WHERE optimizer = 'still'" --db speed.db)" '1'
equals "$(query "SELECT speedup, diverged FROM evaluation WHERE optimizer = 'wild' AND seed IS NULL" --db speed.db)" '0.0,3'
equals "$(query "SELECT DISTINCT seconds_to_baseline > 0 FROM evaluation WHERE optimizer = 'adam'" --db speed.db)" '1'

# ---- the whole grid: the plain line is that of the rates alone; the other one is at least as good; all that was tried is kept
expect 0 'momentum-full' "$flt" eval --optimizers adam,momentum --tasks $small --steps 40 --seeds 2 --tune full --db full.db
expect 0 '' "$flt" eval --optimizers adam,momentum --tasks $small --steps 40 --seeds 2 --tune lr --db full.db
equals "$(query "SELECT count(*) FROM evaluation a JOIN evaluation b USING(optimizer, final_loss, lr) WHERE a.seed IS b.seed AND
    a.run_id = 1 AND b.run_id = 2 AND optimizer IN ('adam', 'momentum')" --db full.db)" '6'
equals "$(query "SELECT min(a.final_loss <= b.final_loss) FROM evaluation a JOIN evaluation b ON a.optimizer = b.optimizer || '-full'
    WHERE a.run_id = 1 AND b.run_id = 1 AND a.seed IS NULL AND b.seed IS NULL" --db full.db)" '1'
equals "$(query "SELECT count(*) FROM metrics WHERE metric LIKE 'final_loss_by_rate%' AND run = 1" --db full.db)" '300' # 15 x 4 x (3 + 2)
equals "$(query "SELECT count(*), sum(best), min(lr), max(lr) FROM tuning WHERE run = 1 AND optimizer = 'adam' AND task = '$small'" --db full.db)" '180,1,1e-07,1.0'
equals "$(query "SELECT settings, lr FROM tuning WHERE run = 1 AND best AND optimizer = 'adam'" --db full.db)" \
    "$(query "SELECT options, lr FROM evaluation WHERE run_id = 1 AND seed IS NULL AND optimizer = 'adam-full'" --db full.db)"
equals "$(query "SELECT count(*) FROM evaluation b WHERE optimizer = 'best-baseline' AND seed IS NULL AND run_id = 1 AND
    final_loss = (SELECT min(final_loss) FROM evaluation WHERE run_id = 1 AND seed IS NULL) AND detail LIKE '%-full'" --db full.db)" '1'
expect 2 'allowed: lr, full' "$flt" eval --tune everything
expect_sentence 2 'slow has a rate of its own, lr=0.1, which tuning would replace' "$flt" eval --optimizers adam,slow=adam:beta1=0.8/lr=0.1 --tune lr
expect_sentence 2 'adam has a rate of its own, lr=0.1, which' "$flt" eval --optimizers adam:lr=0.1/beta1=0.8 --tune full

# ---- sets
expect 0 '^train *500 *digits_mlp$' "$flt" list sets
expect 0 'digits_conv' "$flt" list sets @far
expect 0 '"task"' "$flt" list sets near --json
expect 0 'nadamw *240.*weight_decay' "$flt" list tuning
expect_sentence 2 "did you mean '@train'" "$flt" list sets tran
expect_sentence 2 "did you mean '@train'" "$flt" eval --tasks @tran
expect_sentence 2 'valid sets: @train' "$flt" eval --tasks digits_mlp,@everything
expect 0 '' "$flt" eval --optimizers adam --tasks @train,$small --steps 3 --seeds 1 --db sets.db
equals "$(query "SELECT suite, count(*) FROM evaluation WHERE seed IS NULL AND suite IS NOT NULL GROUP BY 1" --db sets.db)" 'train:steps=3,12'
equals "$(query "SELECT count(*), max(steps) FROM evaluation WHERE seed IS NULL" --db sets.db)" '13,3'

# ---- over the tasks of a set: the table, the metrics of the run, the ranking over runs, JSON
expect 0 '^@train:steps=4 *adam  *1 .* 12 *24 *$' "$flt" eval --optimizers adam:lr=0.01,sgd:lr=0.001 --tasks @train,$small --steps 4 --seeds 2 --db sets2.db
grep -q '^tasks  *adam' out.txt && grep -q '^all  *adam' out.txt || fail "tasks without a set, all together: $(cat out.txt)"
equals "$(query "SELECT count(*) FROM last_metric WHERE metric IN ('speedup/adam/@train:steps=4', 'speedup_low/sgd/all', 'speedup_high/sgd/tasks')" --db sets2.db)" 3
expect 0 '^@train:steps=4 *adam  *1 ' "$flt" results best --task @train:steps=4 --db sets2.db
expect_sentence 2 'no evaluation of this set is stored' "$flt" results best --task @near --db sets2.db
expect_sentence 2 'ranked by speedup, speedup_best or loss_ratio' "$flt" results best --task @train --metric final_loss --db sets2.db
"$flt" eval --optimizers adam --tasks $small,quadratic --steps 4 --seeds 1 --json >both.json
tr -d ' \t\n' <both.json | grep -q '^{"tasks":\[{"task":"digits.*}\],"sets":\[{"tasks":"tasks","optimizer":"adam","speedup":1,.*}\]}$' || fail "JSON: $(cat both.json)"
"$flt" eval --optimizers adam --tasks $small --steps 4 --seeds 1 | grep -q 'over all' && fail 'one task is no set'

# tasks of a set that --steps makes the same are run once; a task at two lengths has two curves
expect 0 '' "$flt" eval --optimizers adam:lr=0.01 --tasks @long --steps 3 --seeds 1 --db long.db
equals "$(query "SELECT count(*) FROM evaluation WHERE seed IS NULL" --db long.db)" 3
expect 0 '' "$flt" eval --optimizers adam:lr=0.01 --tasks @valid,digits_mlp:width=40 --seeds 1 --db two.db
equals "$(query "SELECT count(*), sum(metric LIKE '%width=40 steps=%') FROM last_metric WHERE metric LIKE 'loss/%width=40%' AND seed IS NULL" --db two.db)" 2,2

# ---- Ctrl-C: what was finished is in the table and in the store
"$flt" eval --optimizers adam --tasks $small,digits_mlp:width=1024,batch=512 --steps 20000 --seeds 2 --db stop.db >table.txt 2>said.txt &
pid=$!
for _ in $(seq 400); do
    sleep 0.05
    "$flt" results sql "SELECT count(*) FROM evaluation" --csv --db stop.db 2>/dev/null | grep -q '^3' && break
done
kill -INT $pid
status=0
wait $pid || status=$?
[ $status -eq 3 ] || fail "Ctrl-C ended with $status: $(cat said.txt)"
grep -q "^$small  *adam" table.txt || fail "the finished task is not in the table: $(cat table.txt)"
grep -q 'width=1024' table.txt && fail 'an unfinished task is in the table'
equals "$(query "SELECT status, (SELECT count(*) FROM evaluation) FROM run" --db stop.db)" 'interrupted,3'
finish
