# flt train: the same bits for any number of threads, across kill -9 and --resume, and after Ctrl-C; damaged checkpoints are refused.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
common=(--tasks quadratic,digits_mlp:width=8,batch=8 --particles 3 --window 5 --unroll 7,30 --seed 5 --quiet)

for estimator in pes nres; do
    expect 0 '' "$flt" train "${common[@]}" --estimator $estimator --outer-steps 12 --threads 1 --out $estimator.1
    expect 0 '' "$flt" train "${common[@]}" --estimator $estimator --outer-steps 12 --threads 2 --out $estimator.2
    expect 0 '' "$flt" train "${common[@]}" --estimator $estimator --outer-steps 12 --threads 3 --out $estimator.3
    same $estimator.1 $estimator.2
    same $estimator.1 $estimator.3

    expect 0 '' "$flt" train "${common[@]}" --estimator $estimator --outer-steps 5 --checkpoint $estimator.ckpt --out $estimator.half
    expect 0 '' "$flt" train "${common[@]}" --estimator $estimator --outer-steps 12 --checkpoint $estimator.ckpt --resume --out $estimator.4
    same $estimator.1 $estimator.4
done
expect_sentence 3 'checkpoint.*--out' "$flt" eval --optimizers lstm --weights pes.ckpt --tasks quadratic --steps 2 --seeds 1

# kill -9 somewhere, go on, and again, until it is done
long=(train "${common[@]}" --outer-steps 60 --checkpoint-every 3)
expect 0 '' "$flt" train "${common[@]}" --outer-steps 60 --out whole
"$flt" "${long[@]}" --checkpoint killed.ckpt --out killed >/dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do [ -e killed.ckpt ] && break; sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
expect 0 '' "$flt" "${long[@]}" --checkpoint killed.ckpt --resume --out killed
same whole killed
expect 0 'interrupted\|done' "$flt" results list

# Ctrl-C: a clean stop with a checkpoint
"$flt" "${long[@]}" --outer-steps 1000000 --checkpoint stopped.ckpt --out stopped >/dev/null 2>stop.txt &
pid=$!
for _ in $(seq 200); do [ -e stopped.ckpt ] && break; sleep 0.02; done
kill -INT $pid
status=0
wait $pid || status=$?
[ $status -eq 3 ] || fail "Ctrl-C ended with $status: $(cat stop.txt)"
[ -e stopped.ckpt ] || fail 'Ctrl-C left no checkpoint'
expect 0 'interrupted' "$flt" results list

# a folder that goes away meanwhile: why it stopped and where to go on is told all the same
mkdir gone
"$flt" "${long[@]}" --outer-steps 1000000 --checkpoint gone.ckpt --out gone/w >/dev/null 2>gone.txt &
pid=$!
for _ in $(seq 200); do [ -e gone.ckpt ] && break; sleep 0.02; done
rm -r gone
kill -INT $pid
wait $pid
grep -q 'gone/w: cannot be written.*stopped at outer step.*resume from gone.ckpt' gone.txt || fail "without a folder: $(cat gone.txt)"

# a distribution of tasks: each particle draws its own, the same for any number of threads
wide=(train --tasks 'digits_mlp:width=4..16,batch=4..8,activation=relu|gelu' --particles 4 --window 3 --unroll 5,9 --outer-steps 4 --quiet)
expect 0 '' "$flt" "${wide[@]}" --threads 1 --out wide.1
expect 0 '' "$flt" "${wide[@]}" --threads 2 --out wide.2
same wide.1 wide.2
expect_sentence 2 'width' "$flt" train --tasks 'digits_mlp:width=8..1000000' --out x

# a set stands for its tasks
expect 0 '' "$flt" train --optimizer celo2 --tasks quadratic,@valid --particles 8 --window 1 --unroll 2,4 --outer-steps 1 --db set.db --quiet --out x
expect 0 'task.6.*softmax_regression' "$flt" results show 1 --db set.db
expect_sentence 2 'valid sets: @train' "$flt" train --tasks @everything --out x
expect_sentence 2 'give at least one particle a task' "$flt" train --tasks @far --out x

# re-parametrised tasks: each episode has scales of its own, the same for any number of threads; evaluated on such tasks as well
scaled=(train --tasks 'digits_mlp:width=4..8,batch=4,reparam=none|global|tensor|parameter,reparam_scale=2..1000;quadratic:reparam=global'
    --particles 4 --window 3 --unroll 5,9 --outer-steps 4 --quiet)
expect 0 '' "$flt" "${scaled[@]}" --threads 1 --out scaled.1
expect 0 '' "$flt" "${scaled[@]}" --threads 2 --out scaled.2
same scaled.1 scaled.2
expect 0 'reparam=tensor' "$flt" eval --optimizers adam --tasks quadratic:reparam=tensor --steps 5 --seeds 2 --quiet
expect_sentence 2 'none|global|tensor|parameter' "$flt" train --tasks 'quadratic:reparam=global|all' --out x

# tasks drawn for each episode: the same for any number of threads and across a stop
drawn=("${wide[@]}" --task-draws 6 --outer-steps 9)
expect 0 '' "$flt" "${drawn[@]}" --threads 1 --out drawn.1
expect 0 '' "$flt" "${drawn[@]}" --threads 3 --out drawn.2
same drawn.1 drawn.2
cmp -s drawn.1 wide.1 && fail '--task-draws changed nothing'
expect 0 '' "$flt" "${drawn[@]}" --outer-steps 4 --checkpoint drawn.ckpt --out drawn.half
expect 0 '' "$flt" "${drawn[@]}" --checkpoint drawn.ckpt --resume --out drawn.3
same drawn.1 drawn.3
expect_sentence 2 'width' "$flt" train --tasks 'digits_mlp:width=8..1000000' --task-draws 3 --out x

# two phases: attention waits, then the rest is frozen
expect 0 '' "$flt" train "${common[@]}" --outer-steps 4 --freeze 'w?,xi' --out phase.1
expect 0 '' "$flt" train "${common[@]}" --outer-steps 4 --weights phase.1 --freeze 'layers.*' --out phase.2
cmp -s phase.1 phase.2 && fail 'the second phase changed nothing'
expect_sentence 2 "no meta-parameters match 'nosuch' of those to freeze; there are wq" "$flt" train --freeze nosuch --out x
expect_sentence 2 'all meta-parameters are frozen' "$flt" train --freeze '*' --out x

# options of the outer loop: recorded, the same bits for any number of threads and across a stop, refused by name when they change
options=("${common[@]}" --outer-steps 12 --truncation curriculum --loss-of last --loss-on valid --difference rms --difference-clip 2
    --outer-optimizer adamw --outer-weight-decay 0.1 --outer-schedule cosine --outer-warmup 3 --outer-final 0.1 --clip-by element)
expect 0 '' "$flt" train "${options[@]}" --threads 1 --out options.1
expect 0 '' "$flt" train "${options[@]}" --threads 2 --out options.2
same options.1 options.2
cmp -s options.1 nres.1 && fail 'the options changed nothing'
expect 0 '' "$flt" train "${options[@]}" --outer-steps 5 --outer-schedule-steps 12 --curriculum-steps 12 --checkpoint options.ckpt --out x
expect 0 '' "$flt" train "${options[@]}" --checkpoint options.ckpt --resume --out options.3
same options.1 options.3
expect_sentence 2 'outer schedule=cosine, this run has outer schedule=linear' "$flt" train "${options[@]}" --outer-schedule linear \
    --checkpoint options.ckpt --resume --out x
expect 0 '^cosine' "$flt" results sql "SELECT DISTINCT value FROM param WHERE name = 'outer_schedule' AND value <> 'constant'
    AND value <> 'linear'" --csv
rm -f x
expect 2 "allowed: constant, cosine, linear" "$flt" train "${common[@]}" --outer-schedule step --out x
expect_sentence 2 'decay needs adamw' "$flt" train "${common[@]}" --outer-weight-decay 0.1 --out x
expect_sentence 2 'give one length' "$flt" train "${common[@]}" --truncation constant --out x
expect_sentence 2 'it needs cosine or linear' "$flt" train "${common[@]}" --outer-final 0.1 --out x
expect_sentence 2 'it needs cosine or linear' "$flt" train "${common[@]}" --outer-schedule-steps 9 --out x

# a schedule that ends with each episode: the same bits for any number of threads and across a stop
course=("${common[@]}" --outer-steps 9 --set schedule=linear warmup=3 --loss-power 1)
expect 0 '' "$flt" train "${course[@]}" --threads 1 --out course.1
expect 0 '' "$flt" train "${course[@]}" --threads 2 --out course.2
same course.1 course.2
expect 0 '' "$flt" train "${course[@]}" --outer-steps 4 --checkpoint course.ckpt --out course.half
expect 0 '' "$flt" train "${course[@]}" --checkpoint course.ckpt --resume --out course.3
same course.1 course.3
expect_sentence 2 'schedule=linear is not written as a graph' "$flt" train "${course[@]}" --estimator tbptt --out x
expect_sentence 2 'weights are those of a mean' "$flt" train "${course[@]}" --loss-of last --out x
expect_sentence 2 'was made with schedule=linear' "$flt" eval --optimizers flt:schedule=constant@course.1 --tasks quadratic

# Adam beside it: more metrics, the same bits
expect 0 '' "$flt" train "${common[@]}" --outer-steps 12 --diagnose adam --threads 2 --out beside
same beside nres.1
expect 0 '^12,12' "$flt" results sql "SELECT count(*), sum(abs(value) < 100) FROM metrics WHERE metric = 'loss_minus_adam'" --csv
expect 0 '^24,12' "$flt" results sql "SELECT sum(metric LIKE 'loss_minus_adam/%'), sum(metric = 'effective_sample_size' AND value
    BETWEEN 1 AND 3) FROM metrics WHERE run = (SELECT max(run) FROM metrics)" --csv
expect_sentence 2 'allowed: mean, last' "$flt" train "${common[@]}" --diagnose adam --loss-of min --out x

# gradients back through the updates, and what estimators are worth
back=(train --optimizer lstm --set hidden=2 --tasks quadratic:dimension=2 --quiet --seed 3)
expect 0 '' "$flt" "${back[@]}" --estimator full_bptt --unroll 5,9 --outer-steps 3 --out back
report=("${back[@]}" --estimator-report --report-steps 8 --report-windows 2,4 --report-particles 2 --repetitions 5)
expect 0 '^full_bptt  *1  *2  *0 ' "$flt" "${report[@]}" --threads 1
cp out.txt report.1
expect 0 '^tbptt  *4 .* yes *$' "$flt" "${report[@]}" --threads 2
for f in report.1 out.txt; do awk '{NF -= 2; print}' $f >$f.numbers; done # without the time of a step
same report.1.numbers out.txt.numbers
expect 0 '^24' "$flt" results sql "SELECT count(*) FROM metrics WHERE metric LIKE 'pes/p2/%'
    AND run = (SELECT min(run_id) FROM run WHERE kind = 'estimators')" --csv
expect_sentence 2 'memory=window is not written as a graph' "$flt" train "${common[@]}" --estimator tbptt --set memory=window --out x
expect_sentence 2 'basis=eigen is not written as a graph' "$flt" train "${common[@]}" --estimator tbptt --set basis=eigen --out x
expect_sentence 2 '15 steps can' "$flt" "${report[@]}" --report-windows 3,5
expect 2 'need --estimator-report' "$flt" train "${common[@]}" --report-steps 8 --out x
missing x

# the rate that is told is that of this call: of no steps, 0
expect 0 ' 12 meta-updates, .* inner steps, .* of them before this call, in .* (0 per second)' "$flt" train --tasks quadratic,digits_mlp:width=8,batch=8 \
    --particles 3 --window 5 --unroll 7,30 --seed 5 --estimator nres --outer-steps 12 --checkpoint nres.ckpt --resume --out x
rm x

# refusals
expect 2 'checkpoint-every needs --checkpoint FILE' "$flt" "${long[@]}" --out x
expect_sentence 3 'nosuch.ckpt' "$flt" "${long[@]}" --checkpoint nosuch.ckpt --resume --out x
cp killed.ckpt cut.ckpt && truncate -s -5 cut.ckpt
expect_sentence 3 'cut.ckpt' "$flt" "${long[@]}" --checkpoint cut.ckpt --resume --out x
cp killed.ckpt flipped.ckpt && printf 'Z' | dd of=flipped.ckpt bs=1 seek=$(($(stat -c %s flipped.ckpt) - 100)) conv=notrunc 2>/dev/null
expect_sentence 3 'flipped.ckpt' "$flt" "${long[@]}" --checkpoint flipped.ckpt --resume --out x
expect_sentence 2 'window' "$flt" "${long[@]}" --window 6 --checkpoint killed.ckpt --resume --out x
missing x
expect_sentence 3 'nosuch' "$flt" train "${common[@]}" --outer-steps 1 --out nosuch/w
"$flt" results sql 'SELECT count(*) AS n FROM run' --csv >runs.before
expect_sentence 3 'nosuch' timeout 10 "$flt" train "${common[@]}" --outer-steps 1000000 --out nosuch/w # at once, not after the training
expect_sentence 3 'nosuch' timeout 10 "$flt" "${long[@]}" --outer-steps 1000000 --checkpoint nosuch/c --out x
"$flt" results sql 'SELECT count(*) AS n FROM run' --csv >runs.after
same runs.before runs.after
ls ./*.tmp* 2>/dev/null && fail 'temporary files were left behind'
finish
