# flt bench: what is printed and stored, and what is refused. Never how long anything took.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
quick=(--reps 1 --threads 1)
rows() { "$flt" results sql "SELECT count(*) AS rows FROM timing WHERE $1" | tail -n 1 | tr -d ' '; }

# every group, at its smallest, with all that the registries hold
expect 0 'mechanism.*gemm_%.*dram_%.*error.*vs_stored' "$flt" bench attention --n 8 --m 16 --r 4 "${quick[@]}"
cp out.txt attention.txt
"$flt" results sql "SELECT message FROM event" >events.txt
for source in "$FLT_SOURCE_DIR"/core/attention/*.c; do
    name=$(basename "$source" .c)
    grep -q "^$name " attention.txt || grep -q "left $name out" events.txt || fail "attention $name was forgotten"
done
expect 0 'ns_per_param.*words_per_param.*GFLOP/s.*gemm_%.*dram_%' "$flt" bench optimizer --n 30 "${quick[@]}"
grep -q '^adam  *30  *step ' out.txt || fail 'adam is not in the table'
grep -q '^adam  *30  *decayed ' out.txt || fail 'a state of denormal numbers was not measured'
for source in "$FLT_SOURCE_DIR"/optimizers/*.c; do
    grep -q "^$(basename "$source" .c)  *30  *step " out.txt || fail "optimizer $source was forgotten"
done
expect 0 'us_per_gradient.*GFLOP/s.*gemm_%.*dram_%.*minibatch_%.*idle_%.*us_per_hessian' "$flt" bench task "${quick[@]}"
grep -q '^digits_mlp ' out.txt || fail 'digits_mlp is not in the table'
expect 0 'steps_per_s.*GFLOP/s.*gemm_%' "$flt" bench train flt --reps 1 --threads 2
[ "$(grep -c '^flt ' out.txt)" -eq 2 ] || fail 'training was not measured with one thread and with two'

# what is counted: arithmetic of every optimizer and task, of both passes of every mechanism
uncounted="phase NOT IN ('probe', 'minibatch', 'idle', 'hessian', 'decayed') AND flops IS NULL"
[ "$(rows "$uncounted")" = 0 ] || fail 'a subject without a count of its arithmetic'
[ "$(rows "subject = 'adam' AND phase = 'step' AND flops = 12 * n")" -ge 1 ] || fail "adam's arithmetic is not 12 operations a parameter"
export FLT_DB=$PWD/phases.db
expect 0 'vs_forward' "$flt" bench attention --backward --n 8 --m 16 --r 4 "${quick[@]}"
grep -q '^exact  *causal_backward  *8 ' out.txt || fail 'no backward pass of exact attention'
grep -q '^flt  *backward ' out.txt || fail 'no backward pass of flt'
! grep -q ' token ' out.txt || fail 'a stream was measured that nobody asked for'
expect 0 '' "$flt" bench attention --streaming --n 8 --m 16 --r 4 "${quick[@]}"
grep -q '^flt  *token ' out.txt || fail 'no stream of flt'
! grep -q ' forward \| causal ' out.txt || fail 'a pass was measured in place of the stream'
[ "$(rows "$uncounted")" = 0 ] || fail 'a phase without a count of its arithmetic'
expect 0 '"vs_forward":[[:space:]]*[0-9]' "$flt" bench attention exact --backward --n 8 --json --quiet "${quick[@]}"
"$flt" results sql "SELECT message FROM event" >events.txt
grep -q 'left exact out: exact: it has no streaming form' events.txt || fail 'who does not stream was left out silently'
expect_sentence 2 'no streaming form' "$flt" bench attention exact --streaming --n 8 --quiet "${quick[@]}"
export FLT_DB=$PWD/test.db

# raw samples: each repetition, the probes beside it, two warm ones
[ "$(rows "subject = 'exact' AND phase = 'forward' AND warm = 0")" = 1 ] || fail 'not one row a repetition'
[ "$(rows "subject = 'exact' AND phase = 'forward' AND warm = 1")" = 2 ] || fail 'no warm samples'
[ "$(rows "subject = 'gemm' AND phase = 'probe' AND flops > 0 AND seconds > 0")" -ge 2 ] || fail 'no probes'
for phase in minibatch idle hessian; do
    [ "$(rows "subject = 'digits_mlp' AND phase = '$phase' AND n = 2410 AND seconds >= 0")" = 1 ] || fail "no $phase of digits_mlp"
done
[ "$(rows "phase <> 'minibatch' AND NOT seconds > 0 OR threads IS NULL OR rep IS NULL")" = 0 ] || fail 'incomplete rows'
expect 0 'bench' "$flt" results list

# JSON of one case; the second run finds the first, the exit status stays 0
export FLT_DB=$PWD/again.db
expect 0 '"vs_stored":[[:space:]]*null' "$flt" bench optimizer adam --n 64 --json --quiet "${quick[@]}"
expect 0 '"vs_stored":[[:space:]]*[0-9]' "$flt" bench optimizer adam --n 64 --json --quiet "${quick[@]}"
expect 0 '"vs_stored":[[:space:]]*null' "$flt" bench optimizer adam --n 65 --json --quiet "${quick[@]}"
expect 0 '"vs_stored":[[:space:]]*null' "$flt" bench optimizer adam --n 64 --json --quiet "${quick[@]}" --set beta1=0.8
expect 0 'digits_mlp:width=8,batch=4' "$flt" bench task digits_mlp:width=8,batch=4 quadratic "${quick[@]}"

# more time than stored is told on stderr, and is no failure; less is not told; of each group, each phase
slower() { # GROUP NAME OPTION..: planted a thousandth of any time, then a thousand times as much
    export FLT_DB=$PWD/planted.db
    rm -f "$FLT_DB"
    expect 0 '' "$flt" bench "$@" "${quick[@]}"
    sqlite3 "$FLT_DB" "UPDATE timing SET seconds = 1e-12 WHERE phase <> 'probe'"
    expect 0 'more time; matrix products' "$flt" bench "$@" "${quick[@]}"
    grep -c 'more time; matrix products' out.txt >"told.$1"
    sqlite3 "$FLT_DB" "UPDATE timing SET seconds = 1e6 WHERE phase <> 'probe'"
    expect 0 '' "$flt" bench "$@" "${quick[@]}"
    ! grep -q 'more time; matrix products' out.txt || fail "$*: less time was told as more"
}
if command -v sqlite3 >/dev/null; then
    slower attention flt --backward --streaming --n 8 --m 16 --r 4
    [ "$(cat told.attention)" = 5 ] || fail "$(cat told.attention) of 5 slow phases of attention were told"
    slower optimizer adam --n 64
    [ "$(cat told.optimizer)" = 2 ] || fail "$(cat told.optimizer) of 2 slow phases of adam were told"
    slower task quadratic
    slower train flt
    expect 0 '' "$flt" bench optimizer adam --n 64 "${quick[@]}"
    sqlite3 "$FLT_DB" "UPDATE timing SET seconds = 1e-12 WHERE phase = 'step'"
    expect 0 '' "$flt" bench optimizer adam --n 64 --quiet "${quick[@]}"
    ! grep -q 'more time; matrix products' out.txt || fail '--quiet is not quiet'
fi

# the scripts that stand on it
export FLT_DB=$PWD/scaling.db
expect 0 '' "$flt" bench attention flt --n 8,16 --m 8,16 --reps 1 --threads 2
expect 0 '' "$flt" bench attention flt --n 8,16 --m 8,16 --reps 1 --threads 1
expect 0 'kernel features m' env FLT="$flt" bash "$FLT_SOURCE_DIR/scripts/bench/scaling.sh" "$FLT_DB"
grep -q '^flt  *causal .* 8 *16 ' out.txt || fail 'no slope was fitted'
[ "$(sed -n '/^threads/,$p' out.txt | grep -c '^flt')" -eq 8 ] || fail 'threads were not compared'
expect 2 'missing' env FLT="$flt" bash "$FLT_SOURCE_DIR/scripts/bench/scaling.sh" nosuch.db
if command -v python3 >/dev/null; then
    expect 0 'PyTorch is not installed' python3 -c 'import runpy, sys
sys.modules["torch"], sys.argv = None, sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")' "$FLT_SOURCE_DIR/scripts/bench/peers.py"
fi

# refusals, before anything is measured
export FLT_DB=$PWD/refused.db
expect 2 'name a group' "$flt" bench
expect_sentence 2 'did you mean .attention' "$flt" bench atention
expect_sentence 2 'nosuch' "$flt" bench attention nosuch
expect_sentence 2 'nosuch' "$flt" bench optimizer nosuch
expect_sentence 2 'nosuch' "$flt" bench task nosuch
expect_sentence 2 'not learned' "$flt" bench train adam
expect_sentence 2 'its sizes are its own' "$flt" bench task --n 5
expect_sentence 2 'for attention' "$flt" bench optimizer --m 5
expect_sentence 2 'for attention' "$flt" bench task --backward
expect_sentence 2 'for attention' "$flt" bench train --streaming
expect_sentence 2 'nosuch' "$flt" bench attention flt --set nosuch=1
expect_sentence 2 'beta1' "$flt" bench optimizer adam --set beta1=7
expect_sentence 2 'in the spec' "$flt" bench task --set width=8
expect 2 'reps' "$flt" bench attention --reps 0
expect 2 'out of range' "$flt" bench attention --n 0
missing refused.db
finish
