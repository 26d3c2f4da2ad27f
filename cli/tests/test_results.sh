# flt results: list, show, sql, on a database of a verify and an eval run; missing and foreign files.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
expect_sentence 3 'test.db' "$flt" results list
expect 0 'fourier' "$flt" verify --check fourier,encoding
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2 --tune lr
expect 0 'verify' "$flt" results list
expect 0 'eval' "$flt" results
expect 0 '"kind"' "$flt" results list --json
expect 0 'kind,' "$flt" results list --csv
expect 0 'fourier' "$flt" results show 1
expect 0 '"checks"' "$flt" results show 1 --json
expect 0 'adam' "$flt" results show 2
expect 0 '^ *2' "$flt" results sql 'SELECT count(*) FROM run'
expect_sentence 2 'run 99\|99' "$flt" results show 99
expect_sentence 2 "'x'" "$flt" results show x
expect_sentence 2 'did you mean' "$flt" results lst
for attack in 'DELETE FROM run' 'DROP TABLE run' "ATTACH 'x.db' AS x" 'PRAGMA user_version = 9' 'SELECT 1; DELETE FROM run' "VACUUM INTO 'y.db'" \
    "SELECT load_extension('x')" 'CREATE TEMP TABLE t(x)'; do
    "$flt" results sql "$attack" >out.txt 2>&1 && fail "accepted: $attack"
done
missing x.db
missing y.db
expect 0 '^ *2' "$flt" results sql 'SELECT count(*) FROM run'
"$flt" results sql 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c' >out.txt 2>&1 && fail 'an endless query was not stopped'

# JSON that a strict reader takes, and long results in time that grows with their length alone
expect 0 '"a":.*"007"' "$flt" results sql "SELECT '007' AS a" --json
expect 0 '"a":.*"1."' "$flt" results sql "SELECT '1.' AS a" --json
expect 0 '"a":.*-0.5e3,' "$flt" results sql "SELECT '-0.5e3' AS a, 2 AS b" --json
rows='WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 20000) SELECT x, 2*x AS y FROM c'
expect 0 '20000  40000' timeout 20 "$flt" results sql "$rows"
finish
