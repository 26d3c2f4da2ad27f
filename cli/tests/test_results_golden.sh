# What every verb of flt results prints about a stored file, word for word: cli/tests/golden/results. UPDATE=1 writes these anew; look at
# the difference before it is committed. Drawings are judged by what gnuplot is told, so that its version does not matter.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
golden=$FLT_SOURCE_DIR/cli/tests/golden/results
export TZ=UTC FLT_DB=test.db # sentences name the file
gzip -dc "$FLT_SOURCE_DIR/results/tests/golden/store_v2.db.gz" >test.db
mkdir -p bin
printf '#!/bin/sh\nexec cat\n' >bin/gnuplot
chmod +x bin/gnuplot
PATH=$PWD/bin:$PATH

# golden NAME STATUS ARGUMENTS..: the output and the messages of `flt results ARGUMENTS`.
golden() {
    local name=$1 status=$2 got=0
    shift 2
    "$flt" results "$@" >"$name.txt" 2>&1 || got=$?
    [ "$got" -eq "$status" ] || fail "$* ended with $got, not $status: $(tail -n 1 "$name.txt")"
    [ "${UPDATE:-0}" = 0 ] || cp "$name.txt" "$golden/$name.txt"
    cmp -s "$name.txt" "$golden/$name.txt" || fail "$* prints something else: $(diff "$golden/$name.txt" "$name.txt" | head -n 6)"
}

golden list 0 list
golden list_json 0 list --json --limit 2
golden list_csv 0 list --csv --limit 2
golden list_where 0 list --where "(kind = 'eval' and seed = 3) or final_loss > 1" --sort seed
golden list_none 0 list --status failed
golden show_train 0 show 1
golden show_eval 0 show 2
golden show_eval_csv 0 show 3 --csv
golden show_verify 0 show 4
golden show_bench 0 show 5
golden show_killed 0 show 7
golden show_missing 2 show 99 --json
golden compare_evals 0 compare 2 3
golden compare_benches 0 compare 5 6
golden compare_missing 2 compare 2 99 --json
golden best 0 best
golden best_task 0 best --task quadratic --metric test_loss
golden best_mechanisms 0 best --metric error_total --limit 6
golden best_unknown 2 best --metric final_los
golden schema 0 schema
golden schema_view 0 schema leaderboard
golden sql 0 sql 'SELECT task, optimizer, seeds, round(loss_iqm, 12) AS loss_iqm FROM leaderboard' # SQLite's sums differ behind
golden sql_json 0 sql 'SELECT 1 AS a, 0.1 AS b, NULL AS c, 9e999 AS d' --json
golden sql_refused 2 sql 'DELETE FROM run'
golden export_csv 0 export evaluation_by_seed
golden export_jsonl 0 export artifact --format jsonl
golden export_unknown 2 export leaderbord --format json
golden tail 0 tail 7
for figure in curves error-m error-r time bench-time fidelity profile; do
    golden "plot_${figure//-/_}" 0 plot --figure $figure -o $figure.svg
done
golden plot_terminal 0 plot 1 --metric meta_loss
golden plot_nothing 2 plot 4
golden plot_unknown 2 plot --figure curve
golden tag 0 tag 3 good better
golden note 0 note 3 'a sentence'
expect 0 'good better\|a sentence' "$flt" results show 3
golden list_tagged 0 list --tag better
golden rm_asks 2 rm 3
golden rm 0 rm --yes 3
golden list_removed 0 list
gzip -dc "$FLT_SOURCE_DIR/results/tests/golden/store_v2.db.gz" >other.db
golden import 0 import other.db
golden import_again 0 import other.db
golden list_imported 0 list
"$flt" results report -o report.html >/dev/null 2>&1 || fail 'no report'
sed -n '/<main>/,/<\/main>/p' report.html | sed 's/<path[^>]*>//g; s/<circle[^>]*>//g; s/<svg[^>]*>//g; s/<\/[a-z]*>/ /g; s/<[^>]*>/ /g; s/  */ /g' |
    grep -v '^ *$' >report.txt
[ "${UPDATE:-0}" = 0 ] || cp report.txt "$golden/report.txt"
cmp -s report.txt "$golden/report.txt" || fail "the report says something else: $(diff "$golden/report.txt" report.txt | head -n 6)"
finish
