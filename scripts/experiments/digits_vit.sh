#!/usr/bin/env bash
# Vision transformers on 8 x 8 digits that differ in attention and 2-D encoding alone: patches of 2 x 2 pixels, equal width, depth
# and steps, the learning rate tuned for each over one grid, three seeds. Accuracy on the test split, most is best.
#   scripts/experiments/digits_vit.sh            under 10 minutes on two cores
#   scripts/experiments/digits_vit.sh --quick    seconds: the same path with tiny models
# FLT: the program (default flt). FLT_DB: the store (default experiments.db).
set -euo pipefail
TASK=digits_vit COMMON="width=32 depth=2 heads=4"
STEPS=1500 SEEDS=3 RATES="1e-3 3e-3" EVERY=300
if [ "${1:-}" = --quick ]; then
    COMMON="width=8 depth=1 expansion=1 patch=4 batch=4"
    STEPS=12 SEEDS=2 RATES="3e-3 1e-2" EVERY=12
fi
MODELS="
exact with gaussian mixture|attention=exact rpe=gaussian_mixture
exact with gaussian|attention=exact rpe=gaussian
exact with box|attention=exact rpe=box
exact with no encoding|attention=exact rpe=none
flt with gaussian mixture|attention=flt rpe=gaussian_mixture
flt with gaussian|attention=flt rpe=gaussian
flt with ball|attention=flt rpe=ball
performer|attention=performer
linear|attention=linear
"
. "$(dirname "$0")/lib.sh"
run_experiment
