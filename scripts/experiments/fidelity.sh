#!/usr/bin/env bash
# Which linear attention to use: error against time at N = 4096 ($N), d = 64, for encodings and input scales, beside the published
# recipe (independent frequencies, plain positive features, m = 256, r = 32). Prints a table in Markdown; all rows are in $DB.
#
#     scripts/experiments/fidelity.sh [ENCODING,..] [SD,..]
set -euo pipefail
flt=${FLT:-build/release/cli/flt}
DB=${DB:-fidelity.db}
encodings=${1:-gaussian_mixture,gaussian,laplace,matern32,cauchy,box,window,lag_table,alibi,t5_buckets}
scales=${2:-0.5,1}
threads=${THREADS:-1}
seeds=${SEEDS:-1}
length=${N:-4096}

"$flt" verify --fidelity --n "$length" --encoding "$encodings" --scale "$scales" --seeds "$seeds" --threads "$threads" --db "$DB" >&2

echo "| encoding | sd of q, k | exact | published FLT | best linear attention in the same time | its error | its time | of the error |"
echo "|---|---|---|---|---|---|---|---|"
for sd in ${scales//,/ }; do
    "$flt" results sql --db "$DB" --csv --quiet "
WITH cell AS (
    SELECT encoding, mechanism || ' ' || substr(options, 1, length(options) - length('sd=$sd')) || iif(m > 0, ' m=' || m, '') AS recipe,
           avg(error_total) AS error, min(seconds) AS seconds, min(seconds_exact) AS exact,
           mechanism = 'flt' AND options LIKE 'draw=iid,sampling=mc,sd%' AND m = 256 AS published
    FROM ladder WHERE detail = 'fidelity' AND n = $length AND options LIKE '%sd=$sd' AND run_id = (SELECT max(run_id) FROM ladder)
    GROUP BY encoding, mechanism, options, m, r),
best AS (
    SELECT p.encoding, p.exact, p.error AS old_error, p.seconds AS old_seconds, c.recipe, c.error, c.seconds,
           row_number() OVER (PARTITION BY p.encoding ORDER BY c.error) AS place
    FROM cell p JOIN cell c ON c.encoding = p.encoding AND c.seconds <= p.seconds WHERE p.published)
SELECT encoding, exact, old_error, old_seconds, error, seconds, recipe FROM best WHERE place = 1 ORDER BY encoding" |
        tr -d '"\r' | awk -F, -v sd="$sd" 'NR > 1 {
            recipe = $7
            for (i = 8; i <= NF; i++) recipe = recipe "," $i
            sub(/, /, " ", recipe)
            sub(/,$/, "", recipe)
            printf "| %s | %s | %.1f ms | %.3f in %.1f ms | %s | %.4f | %.1f ms | 1/%.0f |\n", $1, sd, 1e3 * $2, $3, 1e3 * $4, recipe, $5, 1e3 * $6, $3 / $5
        }'
done
