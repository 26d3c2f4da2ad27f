#!/usr/bin/env bash
# Which linear attention to use: error against time at N = 4096, d = 64, for encodings and input scales, beside the published
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

"$flt" verify --fidelity --encoding "$encodings" --scale "$scales" --seeds "$seeds" --threads "$threads" --db "$DB" >&2

echo "| encoding | sd of q, k | exact | published FLT | best linear attention in the same time | its error | its time | of the error |"
echo "|---|---|---|---|---|---|---|---|"
"$flt" results sql --db "$DB" --csv --quiet "
WITH cell AS (
    SELECT encoding, replace(substr(options, instr(options, 'sd=')), 'sd=', '') AS sd,
           mechanism || ' ' || trim(substr(options, 1, instr(options, 'sd=') - 1), ',') || iif(m > 0, ' m=' || m, '') AS recipe,
           avg(error_total) AS error, min(seconds) AS seconds, min(seconds_exact) AS exact,
           mechanism = 'flt' AND options LIKE 'draw=iid,sampling=mc%' AND m = 256 AS published
    FROM ladder WHERE detail = 'fidelity' AND n = 4096 AND run_id = (SELECT max(run_id) FROM ladder)
    GROUP BY encoding, mechanism, options, m, r),
best AS (
    SELECT p.encoding, p.sd, p.exact, p.error AS old_error, p.seconds AS old_seconds, c.recipe, c.error, c.seconds,
           row_number() OVER (PARTITION BY p.encoding, p.sd ORDER BY c.error) AS place
    FROM cell p JOIN cell c ON c.encoding = p.encoding AND c.sd = p.sd AND c.seconds <= p.seconds WHERE p.published)
SELECT '| ' || encoding || ' | ' || sd || ' | ' || printf('%.1f ms', 1e3 * exact) || ' | ' ||
       printf('%.3f in %.1f ms', old_error, 1e3 * old_seconds) || ' | ' || recipe || ' | ' || printf('%.4f', error) || ' | ' ||
       printf('%.1f ms', 1e3 * seconds) || ' | 1/' || printf('%.0f', old_error / error) || ' |' AS line
FROM best WHERE place = 1 ORDER BY sd, encoding" | sed -e 1d -e 's/^"//' -e 's/"$//'
