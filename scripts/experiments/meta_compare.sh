#!/usr/bin/env bash
# What attention over the trajectory and its relative encoding bring, and how FLT stands beside the other learned optimizers: every
# variant is meta-trained from scratch with the same tasks, inner steps and outer loop from each of SEEDS seeds, the rate of its steps
# taken from RATES by the set @valid, and compared on @train and @near with Adam at the best of 15 rates.
#   scripts/experiments/meta_compare.sh memory [FOLDER]        flt without memory, without encoding, discount alone, exact window, ..
#   scripts/experiments/meta_compare.sh raw [FOLDER]           the same with raw inputs: what is remembered, attention remembers
#   scripts/experiments/meta_compare.sh noisy [FOLDER]         raw inputs again, on tasks whose gradients are mostly noise
#   scripts/experiments/meta_compare.sh optimizers [FOLDER]    flt beside lstm, mlp_lopt, small_fc_lopt, celo2
#   .. --quick                                                 the same path in seconds
# OUTER_STEPS (default 1000), SEEDS (default "0 1 2"), RATES (default "1e-3 3e-3 1e-2"), VARIANTS (labels; default all), JOBS
# (default 2, one thread each). A training takes about a minute of one core, longer with a window; `memory` has 117 of
# them. Finished trainings are kept, and started again it goes on.
set -euo pipefail
flt=${FLT:-flt}
command -v "$flt" >/dev/null || {
    echo "there is no program '$flt': build it, then give its path in FLT (FLT=build/release/cli/flt $0)" >&2
    exit 2
}
flt=$(realpath "$(command -v "$flt")")
quick=
for arg; do [ "$arg" = --quick ] && quick=1; done
steps=${OUTER_STEPS:-1000} seeds=${SEEDS:-0 1 2} rates=${RATES:-1e-3 3e-3 1e-2} particles=12 eval=() tests="@train,@near"
tasks=@train valid=@valid
if [ -n "$quick" ]; then
    steps=2 seeds=0 rates="3e-3 1e-2" particles=2 tasks=softmax_regression valid=softmax_regression tests=softmax_regression
    eval=(--steps 20 --seeds 2)
fi
shipped="clock=true basis=eigen warmup=30 settle=300"
case ${1:-} in
memory) variants="
flt|flt|form=adaptive $shipped
performer|flt|form=adaptive $shipped memory=performer
discount|flt|form=adaptive $shipped memory=discount
window|flt|form=adaptive $shipped memory=window
spe_sine|flt|form=adaptive $shipped memory=spe_sine
none|flt|form=adaptive $shipped memory=none
fixed_spectrum|flt|form=adaptive $shipped spectrum=fixed
fixed_omega|flt|form=adaptive $shipped omega=fixed
linear_time|flt|form=adaptive $shipped time=linear
own_basis|flt|form=adaptive clock=true warmup=30 settle=300
no_warmup|flt|form=adaptive clock=true basis=eigen settle=300
form_adam|flt|form=adam $shipped
form_spec|flt|form=spec $shipped" ;;
raw | noisy)
    more=
    if [ "$1" = noisy ]; then
        more=" lr_time=true"
        noise="quadratic:noise=1,noisy_linear_regression:noise=1,batch=4,digits_mlp:width=16,batch=4,glyphs:width=16,classes=10,batch=4"
        [ -n "$quick" ] || { tasks=$noise valid=$noise tests=$noise eval=(--steps 500); } # judged on other seeds
    fi
    variants="
flt|flt|inputs=raw$more
performer|flt|inputs=raw$more memory=performer
discount|flt|inputs=raw$more memory=discount
window|flt|inputs=raw$more memory=window
none|flt|inputs=raw$more memory=none" ;;
optimizers) variants="
flt|flt|form=adaptive $shipped
flt_tensor|flt_tensor|
celo2|celo2|
small_fc_lopt|small_fc_lopt|
mlp_lopt|mlp_lopt|
lstm|lstm|" ;;
*)
    echo "meta_compare.sh: '${1:-}' is no comparison; allowed: memory, raw, noisy, optimizers" >&2
    exit 2
    ;;
esac
chosen=""
for label in ${VARIANTS:-}; do
    line=$(grep "^$label|" <<<"$variants") || { echo "meta_compare.sh: $1 has no variant '$label'" >&2; exit 2; }
    chosen=$chosen$line$'\n'
done
variants=${chosen:-$variants}
folder=build/meta_compare_$1
[ -n "${2:-}" ] && [ "$2" != --quick ] && folder=$2
[ -n "$quick" ] && { folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; }
mkdir -p "$folder"
cd "$folder"
export FLT_DB=$PWD/results.db OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1

# $1 is "label|optimizer|settings|rate|seed": trains unless its weights are there, and notes the loss on @valid.
train_one() {
    local label kind settings rate seed name resume=() set=()
    IFS='|' read -r label kind settings rate seed <<<"$1"
    name=$label.$rate.$seed
    [ -e "$name.safetensors" ] && return 0
    [ -e "$name.ckpt" ] && resume=(--resume)
    case $kind in
    flt | celo2 | flt_tensor) set=(--set lr="$rate" $settings) ;;
    mlp_lopt | small_fc_lopt) set=(--set step_mult="$rate" $settings) ;;
    lstm) set=(--set scale="$rate" $settings) ;;
    esac
    "$flt" train --optimizer "$kind" --tasks "$tasks" --particles "$particles" --outer-steps "$steps" --seed "$seed" --quiet \
        --outer-schedule cosine --outer-final 0.02 "${set[@]}" --checkpoint "$name.ckpt" --checkpoint-every 250 \
        "${resume[@]}" --out "$name.part" || return 255
    mv "$name.part" "$name.safetensors" && rm -f "$name.ckpt"
}
export -f train_one
export flt tasks particles steps

jobs_of() {
    while IFS='|' read -r label kind settings; do
        for rate in $rates; do
            for seed in $seeds; do echo "$label|$kind|$settings|$rate|$seed"; done
        done
    done < <(sed '/^ *$/d' <<<"$variants")
}
jobs_of | xargs -P "${JOBS:-2}" -d '\n' -n 1 bash -c 'train_one "$1"' _

# The rate of a variant by its mean log loss on @valid over all tasks and seeds; then its weight files, labelled label.seed.
chosen=""
while IFS='|' read -r label kind _; do
    best="" least=1e300
    for rate in $rates; do
        list=""
        for seed in $seeds; do list=$list,$label.$seed=$kind@$label.$rate.$seed.safetensors; done
        "$flt" eval --optimizers "${list#,}" --tasks $valid "${eval[@]}" --seed 55 --quiet >/dev/null
        loss=$("$flt" results sql "SELECT ifnull(final_loss, 'inf') FROM evaluation WHERE run_id = (SELECT max(run_id) FROM run)" --csv |
            tr -d '"\r' | awk 'NR > 1 { sum += log($1 > 0 ? $1 : 1e-30) } END { print (NR > 1 ? sum / (NR - 1) : "inf") }')
        echo "$label at $rate: mean log loss on $valid $loss" >&2
        awk "BEGIN { exit !($loss < $least) }" 2>/dev/null && best=$rate least=$loss
    done
    [ -n "$best" ] || { echo "$label diverges at every rate" >&2; continue; }
    for seed in $seeds; do chosen=$chosen,$label.$seed=$kind@$label.$best.$seed.safetensors; done
done < <(sed '/^ *$/d' <<<"$variants")
OMP_NUM_THREADS=${JOBS:-2} "$flt" eval --optimizers "adam$chosen" --baseline adam --tasks $tests "${eval[@]}" --seed 77 --tune lr --quiet
