#!/usr/bin/env bash
# Meta-trains the FLT optimizer that ships in optimizers/weights/ from scratch, and compares it with tuned baselines: on the kind of
# task it was trained on, on near ones it never saw, and at five times the horizon. About five minutes on two cores. On one kind of
# processor the weights come out with the same bits every time.
#   scripts/experiments/meta_train_flt.sh [FOLDER]     default build/meta_train_flt; with OUTER_STEPS=20 a quick look
set -euo pipefail
cd "$(dirname "$0")/../.."
flt=$PWD/build/release/cli/flt
[ -x "$flt" ] || { echo "build first: scripts/quickstart.sh, or cmake --preset release && cmake --build build/release --target flt" >&2; exit 3; }
folder=${1:-build/meta_train_flt}
mkdir -p "$folder"
cd "$folder"
export FLT_DB=$PWD/results.db OMP_WAIT_POLICY=passive

# four networks of different width, depth, activation and batch, four particles each
tasks=digits_mlp,digits_mlp:width=64,digits_mlp:depth=2,digits_mlp:activation=tanh,width=16,batch=32
resume=()
[ -e flt.ckpt ] && resume=(--resume)
"$flt" train --optimizer flt --tasks "$tasks" --particles 16 --outer-steps "${OUTER_STEPS:-6000}" --seed 0 \
    --set lr=0.003 lr_time=true --checkpoint flt.ckpt --checkpoint-every 500 "${resume[@]}" \
    --out flt.safetensors

compare() { "$flt" eval --optimizers flt,adam,nadamw --weights flt.safetensors --seeds 5 --seed 77 --tune lr "$@"; }
for task in digits_mlp digits_mlp:width=128 digits_mlp:depth=3 digits_mlp:activation=gelu,batch=32 digits_conv glyphs softmax_regression \
    digits_autoencoder quadratic; do
    compare --tasks "$task" --steps 500
done
compare --tasks digits_mlp --steps 2500
