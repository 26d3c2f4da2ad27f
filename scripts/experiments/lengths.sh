#!/usr/bin/env bash
# Time and memory of training over length: listops at N = 512 to 4,096 tokens, one expression a step, one thread. For each mechanism
# microseconds of processor time per token of a step, start and evaluation taken off, and peak memory of the process. No absolute
# positions: their table would grow with N.
#   scripts/experiments/lengths.sh            a few minutes
#   scripts/experiments/lengths.sh --quick    seconds: short lengths
# FLT: the program (default flt). FLT_DB: the store (default experiments.db).
set -euo pipefail
COMMON="batch=1 examples=1 hessian=false absolute=false" STEPS=10 LENGTHS="512 1024 2048 4096"
if [ "${1:-}" = --quick ]; then
    COMMON="width=8 depth=1 expansion=1 batch=1 examples=1 hessian=false absolute=false" STEPS=200 LENGTHS="64 128"
fi
MODELS="
exact with gaussian mixture|attention=exact rpe=gaussian_mixture
exact with lag table|attention=exact rpe=lag_table
exact with no encoding|attention=exact rpe=none
performer|attention=performer
flt with gaussian mixture|attention=flt rpe=gaussian_mixture
flt with local (window)|attention=flt rpe=window
spe_sine|attention=spe_sine settings=R=16
spe_conv|attention=spe_conv settings=R=16
nprf with lag table|attention=nprf rpe=lag_table
linear|attention=linear
fftnet|attention=fftnet
fourier|attention=fourier
"
. "$(dirname "$0")/lib.sh"

# Processor seconds of $3 steps of the settings $1 at N = $2; peak memory goes to a file.
seconds_of() {
    local TIMEFORMAT='%3U %3S'
    # shellcheck disable=SC2086
    { time "$flt" fit listops --set $COMMON $1 length="$2" --steps "$3" --eval-every "$3" --quiet --json >"$scratch/fit.json"; } 2>&1 |
        awk '{ print $1 + $2 }'
    tr -d '",:' <"$scratch/fit.json" | awk '$1 == "peak_mib" { print $2 }' >"$scratch/peak"
}

# ",microseconds per token,MiB": what STEPS steps more take
cost_of() {
    local one many
    one=$(seconds_of "$1" "$2" 1)
    many=$(seconds_of "$1" "$2" $((STEPS + 1)))
    echo "$one $many $(cat "$scratch/peak")" | awk -v tokens=$((STEPS * $2)) '{ printf ",%.1f,%.0f", 1e6 * ($2 > $1 ? $2 - $1 : 0) / tokens, $3 }'
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
{
    printf model
    for n in $LENGTHS; do printf ',us@%s,MiB@%s' "$n" "$n"; done
    echo
    sed '/^ *$/d' <<<"$MODELS" | while IFS='|' read -r label settings; do
        printf '%s' "$label"
        for n in $LENGTHS; do cost_of "$settings" "$n"; done
        echo
    done
} | aligned
