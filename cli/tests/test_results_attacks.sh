# What is typed never becomes SQL, a file name or markup: hostile texts at every place where flt results takes one. Afterwards every row is
# as it was.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
gzip -dc "$FLT_SOURCE_DIR/results/tests/golden/store_v2.db.gz" >test.db
"$flt" results export -o before.json || fail 'export'
attacks=("x' OR '1'='1" '1; DELETE FROM run' '" OR 1=1 --' "1 UNION SELECT sql FROM sqlite_schema" '%' 'run_id' '$(touch hacked)'
    "')||load_extension('x')--"$'\n')

# refuse ARGUMENTS..: no rows of runs come out, and the program ends by itself with 0 (nothing found) or 2 (refused).
refuse() {
    local got=0
    timeout 20 "$flt" results "$@" >out.txt 2>err.txt || got=$?
    [ $got -eq 0 ] || [ $got -eq 2 ] || [ $got -eq 3 ] || fail "$* ended with $got: $(tail -n 1 err.txt)"
    ! grep -q '^ *[1-7]  \(train\|eval\|verify\|bench\)' out.txt || fail "$* found runs: $(head -n 2 out.txt)"
}

for text in "${attacks[@]}"; do
    for filter in kind task optimizer mechanism tag status since; do refuse list "--$filter=$text"; done
    refuse list --where "$text = 1"
    refuse list --where "seed $text 77"
    refuse list --where "kind = '$text'" # a quote in it ends the text: then it is no expression
    refuse list --where "\"$text\" = 77"
    refuse list --where "final_loss > 1e300 and ($text)"
    case $text in run_id | '"run_id"') ;; *) refuse list "--sort=$text" ;; esac
    refuse list "--limit=$text"
    refuse show "$text"
    refuse tail "$text"
    refuse compare "$text" "$text"
    refuse best "--task=$text"
    refuse best "--metric=$text"
    refuse plot "--figure=$text" -o x.svg
    refuse plot "--metric=$text" -o x.svg
    refuse schema "$text"
    refuse export "$text" --format jsonl
    refuse rm --yes "$text"
    refuse note "$text" x
    refuse tag "$text" x
    refuse import "$text"
    refuse sql "$text"
done
"$flt" results export -o after.json || fail 'export'
same before.json after.json
missing hacked
missing ../../hacked

# texts of the user come back as they went in
for text in "'; DROP TABLE run; --" '<script>alert(1)</script>' '"' "\$(touch hacked)"; do
    expect 0 '' "$flt" results note 1 "$text"
    expect 0 '' "$flt" results show 1
    grep -qF -- "$text" out.txt || fail "the note '$text' came back as $(tail -n 2 out.txt)"
done
expect 0 '^ *7$' "$flt" results sql 'SELECT count(*) FROM run'
finish
