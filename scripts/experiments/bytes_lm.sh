#!/usr/bin/env bash
# Byte language models that differ in their attention alone: equal width, depth and steps, the learning rate tuned for each over one
# grid, three seeds. Bits per byte on the licences' test split, least is best; an order-2 byte model is the line to beat.
#   scripts/experiments/bytes_lm.sh            about 15 minutes on two cores
#   scripts/experiments/bytes_lm.sh --quick    seconds: the same path with tiny models
# FLT: the program (default flt). FLT_DB: the store (default experiments.db).
set -euo pipefail
TASK=bytes_transformer COMMON="width=48 depth=2 heads=4 length=64"
STEPS=800 SEEDS=3 RATES="2e-3 5e-3" EVERY=200
if [ "${1:-}" = --quick ]; then
    COMMON="width=8 depth=1 expansion=1 length=8 batch=2"
    STEPS=12 SEEDS=2 RATES="3e-3 1e-2" EVERY=12
fi
MODELS="
exact with gaussian mixture|attention=exact rpe=gaussian_mixture
exact with no encoding|attention=exact rpe=none
performer|attention=performer
flt with gaussian mixture|attention=flt rpe=gaussian_mixture
flt with local (window)|attention=flt rpe=window
spe_sine|attention=spe_sine settings=R=32
spe_conv|attention=spe_conv settings=R=32
nprf with lag table|attention=nprf rpe=lag_table
linear|attention=linear
"
. "$(dirname "$0")/lib.sh"
run_experiment
print_baseline 'order-2 byte model on the same split' 'order-2 byte model' ' bits per byte'
