#!/usr/bin/env bash
# Meta-trains the FLT optimizer that ships in optimizers/weights/ from scratch on the tasks of the set @train (6 million inner
# steps, NRES, two particles a task), and compares it with tuned baselines on all sets: seeds, tasks, horizons and widths that it
# never saw. The training took 18 minutes of one core here, the comparison takes about as long. On one kind of processor the
# weights come out with the same bits every time, for any number of threads; started again after an interruption, it goes on.
#   scripts/experiments/meta_train_flt.sh [FOLDER]     default build/meta_train_flt
# OUTER_STEPS=40 is a quick look at the same path. SCHEDULE=linear trains with a rate that falls to the end of each run, and judges
# the end more. SETS, BASELINES and TUNE choose the comparison: SETS= for none.
set -euo pipefail
cd "$(dirname "$0")/../.."
flt=${FLT:-$PWD/build/release/cli/flt}
[ -x "$flt" ] || { echo "build first: scripts/quickstart.sh, or cmake --preset release && cmake --build build/release --target flt" >&2; exit 3; }
folder=${1:-build/meta_train_flt}
mkdir -p "$folder"
cd "$folder"
export FLT_DB=$PWD/results.db OMP_WAIT_POLICY=passive

steps=${OUTER_STEPS:-6000} warmup=100
[ "$steps" -gt 200 ] || warmup=0
schedule=${SCHEDULE:-constant} power=0
[ "$schedule" = constant ] || power=0.8
resume=()
[ -e flt.ckpt ] && resume=(--resume)
"$flt" train --optimizer flt --tasks @train --particles 24 --outer-steps "$steps" --seed 0 \
    --outer-schedule cosine --outer-final 0.02 --outer-warmup "$warmup" --loss-power "$power" \
    --set lr=0.003 form=adaptive lr_time=true clock=true basis=eigen warmup=30 settle=300 "schedule=$schedule" \
    --checkpoint flt.ckpt --checkpoint-every 250 "${resume[@]}" --out flt.safetensors

for set in ${SETS-train near far wide long}; do
    "$flt" eval --optimizers "flt@flt.safetensors,${BASELINES:-adam,nadamw}" --tasks "@$set" --seed 77 --tune "${TUNE:-lr}"
done
