#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How meta-training scales over ranks: measured here, and from that predicted for a cluster.
#
#     scripts/bench/ranks.sh [FOLDER]     (default build/bench_ranks; $FLT: the program; ROUNDS=5, STEPS=150)
#
# 1. Efficiency of 2 ranks x 1 thread against 1 rank x 2 threads on the standard meta-training: rounds, interleaved.
# 2. Messages and bytes on the wire for each outer step, counted by Open MPI's monitoring, on 2, 4 and 8 ranks.
# 3. The model, seconds of an outer step on R ranks of one core each, with P particles, windows of W steps, K parts of a window,
#    n meta-parameters:
#        T = 2 P W c / R  +  P n g  +  2 ceil(log2 R) (a + B / b),    B = 16 R + 16 P (K + 1) bytes
#    c: an inner step. g: to draw a number of a perturbation and to add it to the gradient, which every rank does for all
#    particles. a, b: latency and bandwidth of a round of messages. c and g are fitted to seconds of processor time, which others
#    on the machine do not disturb: c of the standard run, g of what 1, 2, 4 and 8 ranks spend on the same many particles. a is
#    what a step of a small problem takes longer on 2 ranks than half of one; $LATENCY overrides it, for a cluster's network. b is
#    assumed ($BANDWIDTH bytes/s, default 1e9). Predictions: P = $PARTICLES_PER_RANK R (default 8), so that a rank does what one
#    does here; efficiency is T of one rank with its particles alone, over T.
# A step's time is the first decile over the outer steps, for others were disturbed.
set -euo pipefail
cd "$(dirname "$0")/../.."
flt=${FLT:-$PWD/build/release/cli/flt}
[ -x "$flt" ] || { echo "ranks.sh: no program at $flt; build it, or name it in \$FLT" >&2; exit 2; }
"$flt" info | grep -q '^mpi *none' && { echo "ranks.sh: $flt was built without MPI" >&2; exit 2; }
folder=${1:-build/bench_ranks}
rounds=${ROUNDS:-5} steps=${STEPS:-150}
mkdir -p "$folder"
cd "$folder"
rm -f ./*.prof times.txt
export FLT_DB=$PWD/ranks.db OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
standard=(train --optimizer flt --tasks digits_mlp --set lr=0.003 lr_time=true --quiet --out w)

# seconds R THREADS OPTIONS..: of an outer step.
seconds() {
    local ranks=$1 threads=$2 particles=8 window=20 launcher=() fast
    fast="SELECT value FROM metrics WHERE metric = 'inner_steps_per_s' AND step > 5 AND run = (SELECT max(run_id) FROM run)"
    shift 2
    [ "$ranks" -eq 1 ] || launcher=(mpirun -n "$ranks")
    "${launcher[@]}" "$flt" "${standard[@]}" --threads "$threads" "$@" >/dev/null
    while [ $# -gt 0 ]; do
        case $1 in --particles) particles=$2 ;; --window) window=$2 ;; esac
        shift
    done
    "$flt" results sql "$fast ORDER BY value DESC" --csv | tr -d '\r' | tail -n +2 |
        awk -v inner=$((2 * particles * window)) '{v[NR] = $1} END {print inner / v[int(NR / 10) + 1]}'
}
median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

echo "== 2 ranks x 1 thread against 1 rank x 2 threads: standard meta-training, seconds of an outer step"
: >ratio.txt
for round in $(seq "$rounds"); do
    threads=$(seconds 1 2 --outer-steps "$steps")
    ranks=$(seconds 2 1 --outer-steps "$steps")
    awk -v r="$round" -v a="$threads" -v b="$ranks" \
        'BEGIN {printf "round %d   1x2 %.5f   2x1 %.5f   ratio %.3f\n", r, a, b, a / b}'
    awk -v a="$threads" -v b="$ranks" 'BEGIN {print a / b}' >>ratio.txt
done
echo "median of the ratios $(median <ratio.txt)"

echo
echo "== on the wire for each outer step (P = 8)"
for n in 2 4 8; do
    for s in 10 30; do
        mpirun -n $n --mca pml_monitoring_enable 2 --mca pml_monitoring_enable_output 3 --mca pml_monitoring_filename "m$n.$s" \
            "$flt" "${standard[@]}" --threads 1 --window 2 --outer-steps $s >/dev/null 2>&1 || true
    done
    count() { cat "m$n.$1".*.prof | awk '$1 == "I" || $1 == "E" {b += $4; m += $6} END {print m + 0, b + 0}'; }
    echo "$n $(count 10) $(count 30)"
done | awk '{printf "%d ranks: %.1f messages and %.0f bytes by each rank\n", $1, ($4 - $2) / 20 / $1, ($5 - $3) / 20 / $1}'

echo
echo "== the model"
n=$("$flt" results sql "SELECT value FROM param WHERE name = 'meta_parameters' ORDER BY run_id DESC LIMIT 1" --csv | tr -d '\r' |
    tail -n 1)
TIMEFORMAT='%U %S'
# spent R STEPS OPTIONS..: processor seconds of a run
spent() {
    local ranks=$1 outer=$2
    shift 2
    { time mpirun -n "$ranks" "$flt" "${standard[@]}" --threads 1 --outer-steps "$outer" "$@" >/dev/null; } 2>&1 | tail -n 1 |
        awk '{print $1 + $2}'
}
many=(--tasks quadratic --particles 2048 --window 1)
tiny=(--tasks quadratic --particles 8 --window 1)
for _ in $(seq "$rounds"); do
    echo "c 1 $(spent 1 5) $(spent 1 25)"
    for ranks in 1 2 4 8; do echo "g $ranks $(spent $ranks 5 "${many[@]}") $(spent $ranks 25 "${many[@]}")"; done
    for ranks in 1 2 4 8; do echo "a $ranks 0 $(seconds $ranks 1 "${tiny[@]}" --outer-steps 300)"; done
done | awk '{print $1, $2, ($1 == "a") ? $4 : ($4 - $3) / 20}' >raw.txt
for point in 'c 1' 'g 1' 'g 2' 'g 4' 'g 8' 'a 1' 'a 2' 'a 4' 'a 8'; do
    echo "$point $(grep "^$point " raw.txt | cut -d' ' -f3 | median)"
done >times.txt
awk -v n="$n" -v b="${BANDWIDTH:-1e9}" -v per="${PARTICLES_PER_RANK:-8}" -v latency="${LATENCY:-}" '
    function rounds(R) { return R > 1 ? 2 * (int(log(R - 0.5) / log(2)) + 1) : 0 }
    function bytes(P, R) { return 16 * R + 16 * P * 2 }
    function T(P, W, R) { return 2 * P * W * c / R + P * n * g + rounds(R) * (a + bytes(P, R) / b) }
    $1 == "c" { c = $3 / (2 * 8 * 20) }
    $1 == "g" { x = $2; sx += x; sy += $3; sxx += x * x; sxy += x * $3; k++; spent[$2] = $3 }
    $1 == "a" { tiny[$2] = $3 }
    END {
        slope = (k * sxy - sx * sy) / (k * sxx - sx * sx)
        g = slope / 2048 / n
        a = latency != "" ? latency : (tiny[2] - tiny[1] / 2) / 2
        if (a < 0) a = 0
        printf "n = %d   c = %.3g s   g = %.3g s   a = %.3g s%s   b = %.3g bytes/s (assumed)\n", n, c, g, a,
            latency != "" ? " (given)" : "", b
        printf "\nthis machine   processor seconds of a step, P = 2048, W = 1      seconds of a step, P = 8, W = 1\n"
        printf "ranks                    measured      model                        measured\n"
        for (R = 1; R <= 8; R *= 2)
            printf "%5d          %14.5f  %9.5f                  %14.6f\n", R, spent[R], (sy - slope * sx) / k + slope * R, tiny[R]
        printf "\na core for each rank\n"
        printf "ranks  particles  window   step s  inner  perturbations  latency  bytes  efficiency  table bytes\n"
        split("2 10 100 1000 10000", r, " ")
        for (w = 20; w <= 200; w *= 10)
            for (i = 1; i <= 5; i++) {
                P = per * r[i]; s = T(P, w, r[i]) / 100; l = rounds(r[i])
                printf "%5d  %9d  %6d  %7.4f  %4.0f%%  %12.1f%%  %6.2f%%  %4.1f%%  %10.3f  %.3g\n", r[i], P, w, 100 * s,
                       2 * P * w * c / r[i] / s, P * n * g / s, l * a / s, l * bytes(P, r[i]) / b / s, T(per, w, 1) / s / 100,
                       bytes(P, r[i])
            }
    }' times.txt
