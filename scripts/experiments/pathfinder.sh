#!/usr/bin/env bash
# Two dots joined by a dashed path or not, from transformers that differ in attention and 2-D encoding alone: pictures of 16 x 16
# pixels with two paths of 8 pixels, patches of 4 x 4 as tokens, equal width, depth and steps, the learning rate tuned for each over
# one grid, three seeds. Accuracy on the test split, most is best: chance is 0.5, a threshold on the distance of the dots reaches
# 0.64. Every model reads its answer at the two dots (pool=dots). nprf, the codes of spe, fftnet and fourier live on sequences: they
# see the patches one after the other.
#   scripts/experiments/pathfinder.sh            under 10 minutes on two cores
#   scripts/experiments/pathfinder.sh --quick    seconds: the same path with tiny models
# FLT: the program (default flt). FLT_DB: the store (default experiments.db).
set -euo pipefail
TASK=pathfinder COMMON="length=8 distractors=0 batch=32 hessian=false examples=1000"
STEPS=1500 SEEDS=3 RATES="2e-3 5e-3" EVERY=500
if [ "${1:-}" = --quick ]; then
    COMMON="size=8 length=5 patch=2 pool=dots width=8 depth=1 expansion=1 batch=2 hessian=false examples=8"
    STEPS=12 SEEDS=2 RATES="3e-3 1e-2" EVERY=12
fi
MODELS="
exact with gaussian mixture|attention=exact rpe=gaussian_mixture
exact with box|attention=exact rpe=box
exact with no encoding|attention=exact rpe=none
performer|attention=performer
flt with gaussian mixture|attention=flt rpe=gaussian_mixture
flt with ball|attention=flt rpe=ball
spe_sine|attention=spe_sine positions=sequence settings=R=16
spe_conv|attention=spe_conv positions=sequence settings=R=16
nprf with lag table|attention=nprf rpe=lag_table positions=sequence
linear|attention=linear
fftnet|attention=fftnet positions=sequence
fourier at half the length|attention=fourier positions=sequence settings=ratio=0.5
"
. "$(dirname "$0")/lib.sh"
run_experiment
