#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How cost grows: seconds ~ c x^slope, fitted to the stored medians of `flt bench` by least squares of logarithms, with x the
# tokens, kernel features, parameters or particles while all else stays; and how much faster several threads are than one.
#
#     scripts/bench/scaling.sh [--measure] [FILE.db]      (default: $FLT_DB, else flt.db; $FLT: the program)
#
# --measure runs the benchmarks that the fits need first (minutes). A slope needs two sizes at least; r2 says how straight the
# line is.
set -eu
cd "$(dirname "$0")/../.."
flt=${FLT:-build/release/cli/flt}
measure=0
[ "${1:-}" != --measure ] || { measure=1; shift; }
export FLT_DB=${1:-${FLT_DB:-flt.db}}
[ -x "$flt" ] || { echo "scaling.sh: no program at $flt; build it, or name it in \$FLT" >&2; exit 2; }

if [ "$measure" = 1 ]; then
    cores=$(nproc)
    "$flt" bench attention --n 512,1024,2048,4096 --m 256 --threads 1 >/dev/null
    "$flt" bench attention flt performer --n 2048 --m 32,64,128,512 --threads 1 >/dev/null
    "$flt" bench attention --n 512,1024,2048,4096 --m 256 --threads "$cores" >/dev/null
    "$flt" bench optimizer --threads 1 >/dev/null
    "$flt" bench train --n 2,8,32 --threads "$cores" >/dev/null
fi
[ -e "$FLT_DB" ] || { echo "scaling.sh: $FLT_DB is missing; run it with --measure, or flt bench before" >&2; exit 2; }

# slope QUANTITY FIXED PHASES: of the latest medians of each size.
slope() {
    local x=$1 fixed=$2 phases=$3
    "$flt" results sql "
        WITH latest AS (SELECT s.*, row_number() OVER (PARTITION BY s.subject, s.phase, s.label, s.options, s.n, s.d, s.m, s.r,
                                                       s.threads ORDER BY s.run DESC) AS age
                        FROM timing_summary s JOIN run p ON p.run_id = s.run WHERE p.kind = 'bench' AND s.phase IN ($phases)),
             point AS (SELECT *, ln($x) AS lx, ln(median) AS ly FROM latest WHERE age = 1 AND $x > 0 AND median > 0),
             total AS (SELECT subject, phase, options, $fixed, threads, count(*) AS sizes, min($x) AS least, max($x) AS most,
                              avg(lx) AS ax, avg(ly) AS ay, avg(lx * lx) - avg(lx) * avg(lx) AS vx,
                              avg(ly * ly) - avg(ly) * avg(ly) AS vy, avg(lx * ly) - avg(lx) * avg(ly) AS vxy
                       FROM point GROUP BY subject, phase, options, $fixed, threads)
        SELECT subject, phase, options, $fixed, threads, sizes, least, most, round(vxy / vx, 3) AS slope,
               round(vxy * vxy / (vx * vy), 4) AS r2
        FROM total WHERE sizes > 1 AND vx > 0 AND vy > 0 ORDER BY subject, phase, threads, $fixed"
}

echo 'tokens N'
slope n 'm, r' "'forward', 'causal', 'token'"
echo
echo 'kernel features m'
slope m 'n, r' "'forward', 'causal', 'token'"
echo
echo 'parameters P'
slope n m "'step'"
echo
echo 'particles: time of one inner step (slope 0: no cost of their number)'
slope n m "'train'"
echo
echo 'threads'
"$flt" results sql "
    WITH latest AS (SELECT s.*, row_number() OVER (PARTITION BY s.subject, s.phase, s.label, s.options, s.n, s.d, s.m, s.r,
                                                   s.threads ORDER BY s.run DESC) AS age
                    FROM timing_summary s JOIN run p ON p.run_id = s.run WHERE p.kind = 'bench' AND s.phase <> 'probe')
    SELECT a.subject, a.phase, a.n, a.m, a.r, b.threads, round(a.median / b.median, 3) AS speedup FROM latest a JOIN latest b
    ON a.age = 1 AND b.age = 1 AND a.threads = 1 AND b.threads > 1 AND a.subject = b.subject AND a.phase = b.phase
    AND a.label = b.label AND coalesce(a.options, '') = coalesce(b.options, '') AND a.n = b.n
    AND coalesce(a.m, 0) = coalesce(b.m, 0) AND coalesce(a.r, 0) = coalesce(b.r, 0) ORDER BY a.subject, a.phase, a.n, a.m"
