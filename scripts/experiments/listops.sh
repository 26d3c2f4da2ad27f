#!/usr/bin/env bash
# Nested lists from transformers that differ in their attention alone: expressions of 4 to 64 tokens, equal width, depth and steps,
# the learning rate tuned for each over one grid, three seeds. Accuracy on the test split, most is best. Every model is told how deep
# in the brackets a token is (levels=true) and reads its answer from the root's token (pool=first).
#   scripts/experiments/listops.sh            about 10 minutes on two cores
#   scripts/experiments/listops.sh --quick    seconds: the same path with tiny models
# FLT: the program (default flt). FLT_DB: the store (default experiments.db).
set -euo pipefail
TASK=listops COMMON="length=64 shortest=4 levels=true pool=first batch=16 hessian=false examples=1000"
STEPS=1000 SEEDS=3 RATES="2e-3 5e-3" EVERY=500
if [ "${1:-}" = --quick ]; then
    COMMON="length=12 shortest=4 levels=true pool=first width=8 depth=1 expansion=1 batch=2 hessian=false examples=8"
    STEPS=12 SEEDS=2 RATES="3e-3 1e-2" EVERY=12
fi
MODELS="
exact with gaussian mixture|attention=exact rpe=gaussian_mixture
exact with t5 buckets|attention=exact rpe=t5_buckets
exact with no encoding|attention=exact rpe=none
performer|attention=performer
flt with gaussian mixture|attention=flt rpe=gaussian_mixture
flt with local (window)|attention=flt rpe=window
spe_sine|attention=spe_sine settings=R=16
spe_conv|attention=spe_conv settings=R=16
nprf with lag table|attention=nprf rpe=lag_table
linear|attention=linear
fftnet|attention=fftnet
fourier at half the length|attention=fourier settings=ratio=0.5
"
. "$(dirname "$0")/lib.sh"
run_experiment
