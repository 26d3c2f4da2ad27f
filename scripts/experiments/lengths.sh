#!/usr/bin/env bash
# Time and memory of training over length: listops at N = 512 to 4,096 tokens, one expression a step, one thread. For each mechanism
# microseconds per token of a step (the fastest of three runs) and peak memory of the process. No absolute positions: their table
# would grow with N.
#   scripts/experiments/lengths.sh            a few minutes
#   scripts/experiments/lengths.sh --quick    seconds: short lengths
# FLT: the program (default flt). FLT_DB: the store (default experiments.db).
set -euo pipefail
COMMON="batch=1 examples=1 hessian=false absolute=false" STEPS=5 SEEDS=3 LENGTHS="512 1024 2048 4096"
if [ "${1:-}" = --quick ]; then
    COMMON="width=8 depth=1 expansion=1 batch=1 examples=1 hessian=false absolute=false" STEPS=2 SEEDS=2 LENGTHS="64 128"
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

# ",microseconds per token,MiB" of the settings $1 at N = $2
cost_of() {
    local out=$scratch/cost.json
    # shellcheck disable=SC2086
    "$flt" fit listops --set $COMMON $1 length="$2" --steps $STEPS --eval-every $STEPS --seeds $SEEDS --quiet --json >"$out"
    tr -d '",:' <"$out" | awk -v n="$2" '$1 == "steps_per_s" && $2 > rate { rate = $2 } $1 == "peak_mib" && $2 > peak { peak = $2 }
        END { printf ",%.1f,%.0f", 1e6 / rate / n, peak }'
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
} | if command -v column >/dev/null; then column -s, -t; else cat; fi
