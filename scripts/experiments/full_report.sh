#!/usr/bin/env bash
# The full verification as one page: every check at its largest sizes with the whole error ladder, benchmarks of the mechanisms over
# length, the shipped optimizer beside tuned ones on seeds it never saw, and report.html about all of it. About ten minutes on two cores.
#   scripts/experiments/full_report.sh [FOLDER]     default build/full_report; with LEVEL=quick a look of half a minute
# Run again, it adds to the store that is there; the page shows the latest verdicts. Ends with status 1 when a check failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
flt=${FLT:-$PWD/build/release/cli/flt}
[ -x "$flt" ] || { echo "build first: scripts/quickstart.sh, or cmake --preset release && cmake --build build/release --target flt" >&2; exit 3; }
weights=$PWD/optimizers/weights/flt.safetensors
folder=${1:-build/full_report}
level=${LEVEL:-full}
mkdir -p "$folder"
cd "$folder"
export FLT_DB=$PWD/results.db OMP_WAIT_POLICY=passive

lengths=512,1024,2048,4096 steps=500 seeds=10 reps=15 tasks=digits_mlp,softmax_regression,quadratic
[ "$level" = full ] || { lengths=128,256; steps=100; seeds=3; reps=5; tasks=digits_mlp,quadratic; }

status=0
"$flt" verify --level "$level" || status=$?
[ $status -le 1 ] || exit $status
"$flt" bench attention exact performer flt --n $lengths --m 64 --reps $reps
"$flt" eval --optimizers flt,adam,nadamw,sgd --weights "$weights" --tasks $tasks --steps $steps --seeds $seeds --tune lr
"$flt" results report -o report.html
echo "$PWD/report.html"
exit $status
