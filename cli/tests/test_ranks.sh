# flt under mpirun: the same bits for any number of processes; a process that dies is named, and the last checkpoint goes on with
# another number of them; Ctrl-C; what a build without MPI says.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
small=(--tasks quadratic,digits_mlp:width=8,batch=8 --particles 3 --window 5 --unroll 7,30 --seed 5 --quiet)

if [ -z "$FLT_MPIRUN" ]; then
    expect 0 '^mpi *none' "$flt" info
    expect 0 '' env OMPI_COMM_WORLD_SIZE=1 "$flt" info
    for launcher in OMPI_COMM_WORLD_SIZE PMI_SIZE; do
        expect_sentence 2 'built without MPI' env $launcher=4 "$flt" train "${small[@]}" --outer-steps 1 --out refused
    done
    missing refused
    echo 'SKIPPED: several processes (this build has no MPI: scripts/setup.sh --mpi installs one)'
    finish
    exit
fi

# Open MPI: more processes than cores, in a container, as root
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_vader_single_copy_mechanism=none
ranks() { local n=$1; shift; timeout 60 "$FLT_MPIRUN" -n "$n" "$@"; }

# ---- the same bits: weights and checkpoints
for estimator in nres pes truncated_es full_es tbptt full_bptt; do
    case $estimator in *bptt) steps=6 ;; *) steps=12 ;; esac
    expect 0 '' "$flt" train "${small[@]}" --estimator $estimator --outer-steps $steps --threads 1 --checkpoint c.1x1 --out w.1x1
    expect 0 '' "$flt" train "${small[@]}" --estimator $estimator --outer-steps $steps --threads 2 --checkpoint c.1x2 --out w.1x2
    for n in 2 4; do
        expect 0 '' ranks $n "$flt" train "${small[@]}" --estimator $estimator --outer-steps $steps --threads 1 \
            --checkpoint c.${n}x1 --out w.${n}x1
    done
    for grid in 1x2 2x1 4x1; do
        same w.1x1 w.$grid
        same c.1x1 c.$grid
    done
done
expect 0 '' ranks 1 "$flt" train "${small[@]}" --estimator nres --outer-steps 12 --out w.mpi
expect 0 '' "$flt" train "${small[@]}" --estimator nres --outer-steps 12 --out w.alone
same w.alone w.mpi

# one run in the store, with what was exchanged and waited for
expect 0 '^26' "$flt" results sql "SELECT count(*) FROM run" --csv
expect 0 '^12' "$flt" results sql "SELECT count(*) FROM metrics WHERE metric = 'wait_share' AND value BETWEEN 0 AND 1
    AND run = (SELECT min(run_id) FROM param WHERE name = 'ranks' AND number = 2)" --csv
# of the other rank: 16 bytes, and for each of its 3 arms 8 bytes for the clipped steps, for the movement and for each part of a window
expect 0 '^112\.0' "$flt" results sql "SELECT DISTINCT value FROM metrics WHERE metric = 'exchange_bytes'
    AND run = (SELECT min(run_id) FROM param WHERE name = 'ranks' AND number = 2)" --csv
# where gradients travel too, 8 bytes for each meta-parameter and arm more
run="SELECT min(run_id) FROM param WHERE name = 'ranks' AND number = 2
    AND run_id IN (SELECT run_id FROM param WHERE name = 'estimator' AND value = 'tbptt')"
expect 0 '^6' "$flt" results sql "SELECT count(*) FROM metrics WHERE metric = 'exchange_bytes' AND value = 112 + 3 * 8 *
    (SELECT number FROM param WHERE name = 'meta_parameters' AND run_id = run) AND run = ($run)" --csv

# ---- cells of an evaluation: the same table but for its times, from one run in the store
compare=(eval --optimizers adam,other=sgd --tasks digits_mlp:width=8,batch=8,quadratic --steps 20 --seeds 3 --tune full --json --quiet)
numbers() {
    grep -E '"(tasks?|optimizer|lr|final_loss|test_metric|steps_to_baseline|speedup|vs_best|low_95|diverged|settings)"' "$1" >"$1.numbers"
}
"$flt" "${compare[@]}" >alone.json 2>said.txt || fail "eval: $(cat said.txt)"
for n in 2 4; do
    ranks $n "$flt" "${compare[@]}" >many.json 2>said.txt || fail "eval on $n ranks: $(cat said.txt)"
    numbers alone.json
    numbers many.json
    [ -s alone.json.numbers ] || fail 'eval printed no numbers'
    same alone.json.numbers many.json.numbers
done
expect 0 '^2' "$flt" results sql "SELECT count(*) FROM run WHERE kind = 'eval' AND run_id IN (SELECT run_id FROM param
    WHERE name = 'ranks')" --csv

# ---- checks of a verification: the same table and the same rows, in the same order
rows() {
    "$flt" results sql "SELECT check_name, mechanism, label, ratio, verdict FROM check_result ORDER BY seq" --csv --db "$1" >"$1.csv"
}
checks=(verify --check encoding,permutation,fourier --quiet)
"$flt" "${checks[@]}" --db alone.db >alone.txt 2>said.txt || fail "verify: $(cat said.txt)"
ranks 3 "$flt" "${checks[@]}" --db many.db >many.txt 2>said.txt || fail "verify on 3 ranks: $(cat said.txt)"
rows alone.db
rows many.db
[ "$(wc -l <alone.db.csv)" -gt 20 ] || fail 'verify left no rows'
same alone.txt many.txt
same alone.db.csv many.db.csv

# ---- what is wrong is said once
export OMPI_MCA_odls_base_sigkill_timeout=0 # mpirun waits so long after each failure
expect 2 '6 arms' ranks 7 "$flt" train "${small[@]}" --outer-steps 1 --out x
expect 2 'unrecognized option' ranks 2 "$flt" train --nosuch
[ "$(grep -c 'unrecognized' out.txt)" -eq 1 ] || fail 'a wrong option was told twice'
expect 3 'nosuch' ranks 2 "$flt" train "${small[@]}" --weights nosuch --out x
[ "$(grep -c 'nosuch' out.txt)" -eq 1 ] || fail 'a missing file was told twice'
expect 0 '' ranks 2 "$flt" bench task digits_mlp --quiet # rank 0 alone, the store included
expect 0 'truncated_es' ranks 2 "$flt" list estimators
[ "$(grep -c '^  truncated_es' out.txt)" -eq 1 ] || fail 'flt list ran twice'
missing x
unset OMPI_MCA_odls_base_sigkill_timeout

# ---- a rank that dies
# start FILE N: a run without end on N ranks in the background, each leaving its process id.
long=(train "${small[@]}" --window 40 --threads 1)
start() {
    rm -f pid.* "$1"
    ranks "$2" bash -c 'echo $PPID >pid.launcher; echo $$ >pid.${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec "$@"' - \
        "$flt" "${long[@]}" --outer-steps 1000000 --checkpoint-every 2 --checkpoint "$1" --out endless >said.txt 2>&1 &
    job=$!
    for _ in $(seq 500); do [ -e "$1" ] && break; sleep 0.02; done
    sleep 0.3
}
# go_on FILE STEP N: from there on N ranks, to what one process makes in one go.
go_on() {
    expect 0 '' ranks "$3" "$flt" "${long[@]}" --outer-steps $(($2 + 3)) --checkpoint "$1" --resume --out resumed
    expect 0 '' "$flt" "${long[@]}" --outer-steps $(($2 + 3)) --out whole
    same whole resumed
}
for victim in 1 0; do
    start dead.ckpt 3
    kill -9 "$(cat pid.$victim)"
    status=0
    wait $job || status=$?
    [ $status -ne 0 ] || fail "rank $victim died, and the job ended well"
    grep -q "rank $victim of 3 .* died" said.txt || fail "rank $victim died and was not named: $(cat said.txt)"
    step=$(sed -n 's/.*resume from dead.ckpt, of step \([0-9]*\).*/\1/p' said.txt)
    [ -n "$step" ] || fail "no checkpoint was named: $(cat said.txt)"
    go_on dead.ckpt "${step:-0}" 2
done
expect 0 'died' "$flt" results sql "SELECT message FROM run WHERE status = 'failed'" --csv

# ---- Ctrl-C, to the launcher and to one rank alone
for target in launcher 2; do
    [ $target = 2 ] || export OMPI_MCA_odls_base_sigkill_timeout=3 # mpirun leaves its processes 1 s to stop unless told otherwise
    start stop.ckpt 3
    unset OMPI_MCA_odls_base_sigkill_timeout
    if [ $target = launcher ]; then kill -TERM "$(cat pid.launcher)"; else kill -INT "$(cat pid.2)"; fi
    status=0
    wait $job || status=$?
    [ $status -ne 0 ] || fail "an interrupted job ended with 0"
    step=$(sed -n 's/.*stopped at outer step \([0-9]*\) of.*resume from stop.ckpt.*/\1/p' said.txt)
    [ -n "$step" ] || fail "Ctrl-C was not answered: $(cat said.txt)"
    go_on stop.ckpt "${step:-0}" 4
done
ls ./.flt-* 2>/dev/null && fail 'temporary files were left behind'
finish
