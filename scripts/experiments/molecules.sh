#!/usr/bin/env bash
# Energies of clusters of atoms from transformers over points that differ in attention and 3-D encoding alone: equal width, depth
# and steps, the learning rate tuned for each over one grid, three seeds. Mean absolute error on the test split, least is best. What
# is told no places sees the composition alone; "places as input" adds a learned linear map of an atom's place to its token (128
# parameters more; an encoding has 4 to 72, for all heads and layers).
#   scripts/experiments/molecules.sh            under 10 minutes on two cores
#   scripts/experiments/molecules.sh --quick    seconds: the same path with tiny models
# FLT: the program (default flt). FLT_DB: the store (default experiments.db).
set -euo pipefail
TASK=molecules COMMON="width=32 depth=2 heads=4 hessian=false examples=256"
STEPS=1000 SEEDS=3 RATES="2e-3 5e-3" EVERY=250
if [ "${1:-}" = --quick ]; then
    COMMON="width=8 depth=1 expansion=1 most=8 batch=4 hessian=false examples=8"
    STEPS=12 SEEDS=2 RATES="3e-3 1e-2" EVERY=12
fi
MODELS="
exact with gaussian mixture|attention=exact rpe=gaussian_mixture
exact with gaussian|attention=exact rpe=gaussian
exact with cauchy|attention=exact rpe=cauchy
exact with no encoding|attention=exact rpe=none
exact with places as input|attention=exact rpe=none coordinates=true
flt with gaussian mixture|attention=flt rpe=gaussian_mixture
flt with gaussian|attention=flt rpe=gaussian
flt with ball|attention=flt rpe=ball
performer|attention=performer
performer with places as input|attention=performer coordinates=true
linear with places as input|attention=linear coordinates=true
"
. "$(dirname "$0")/lib.sh"
run_experiment
print_baseline 'error of predicting the mean' 'mean energy' ''
