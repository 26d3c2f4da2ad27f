# Verbs, help, exit statuses, sentences for bad usage.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"

expect 0 'flt VERB' "$flt" --help
expect 2 'flt VERB' "$flt"
expect 0 '^flt [0-9]' "$flt" --version
expect_sentence 2 "did you mean 'verify'" "$flt" verfy
for verb in list info verify train eval results attend replay; do
    expect 0 'Usage: flt '"$verb" "$flt" "$verb" --help
    expect 2 'unrecognized option' "$flt" "$verb" --nonsense
done

expect 0 'flt' "$flt" list
expect 0 'formula' "$flt" list attention
for family in attention rpe tasks optimizers estimators checks ops; do
    expect 0 '"name"' "$flt" list "$family" --json
done
expect_sentence 2 "did you mean 'attention'" "$flt" list atention
expect_sentence 2 "did you mean 'performer'" "$flt" list attention perfomer
expect 0 'fftw' "$flt" info
expect 0 '"precision"' "$flt" info --json

expect 2 'allowed' "$flt" train --particles 0 --out w.safetensors
expect 2 "'x' is not" "$flt" train --particles x --out w.safetensors
expect 2 'not MIN,MAX' "$flt" train --unroll 7, --out w.safetensors
expect 2 'needed' "$flt" train
expect_sentence 2 'valid names' "$flt" train --tasks nosuch --out w.safetensors
expect_sentence 2 'did you mean' "$flt" train --estimator pess --out w.safetensors
expect_sentence 2 'nothing to meta-train' "$flt" train --optimizer adam --out w.safetensors
expect_sentence 2 'width' "$flt" train --tasks digits_mlp:width=100000 --out w.safetensors
expect_sentence 2 'did you mean' "$flt" eval --optimizers adma
expect_sentence 2 'no compared optimizer has' "$flt" eval --optimizers adam --set nosuch=1
expect_sentence 2 'did you mean' "$flt" verify --mechanism perfomer
expect 2 'allowed: quick, full' "$flt" verify --level medium
missing w.safetensors

# standard output closed, full or abandoned: never a success when something is missing
"$flt" list >&- 2>err.txt
[ $? -eq 3 ] || fail 'a closed stdout was no failure'
grep -q 'standard output' err.txt || fail "closed stdout: $(cat err.txt)"
status=0
(
    ulimit -f 4
    exec "$flt" list --json >full.txt 2>err.txt
) || status=$?
[ $status -eq 3 ] || fail "a full disk behind stdout ended with $status"
rows='WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 20000) SELECT x FROM c'
expect 0 '' "$flt" verify --check fourier --quiet
"$flt" results sql "$rows" 2>err.txt | head -n 1 >head.txt
[ ! -s err.txt ] || fail "a reader that had enough: $(cat err.txt)"

# a sentence names what was given and what is allowed
expect 2 "'1e3x' is not a whole number; allowed: 0 to 1000000000" "$flt" train --outer-steps 1e3x --out w.safetensors
expect 2 "'x' is not a number; allowed: 1e-12 to 1000" "$flt" train --sigma x --out w.safetensors
expect_sentence 2 "'x' is not a whole number; 1 .. 4096 is allowed" "$flt" eval --optimizers adam --tasks digits_mlp:width=x
expect_sentence 2 "'..8' lacks an end; allowed: low..high" "$flt" train --tasks digits_mlp:width=..8 --out w.safetensors
expect 2 "--tasks: 'quadratic:noise=1,noise=0' sets 'noise' twice" "$flt" train --tasks quadratic:noise=1,noise=0 --out w.safetensors
expect 2 "TASK: .* sets 'noise' twice" "$flt" fit quadratic:noise=1,noise=0
expect_sentence 2 "'lr=1/lr=2' sets 'lr' twice" "$flt" eval --optimizers adam:lr=1/lr=2
for several in @train '3*quadratic' 'quadratic;rosenbrock' quadratic,rosenbrock; do
    expect_sentence 2 'stands for several tasks; allowed here: one' "$flt" fit "$several"
done
expect_sentence 2 'stands for several tasks; allowed here: one' "$flt" eval --optimizers adam --tasks 'quadratic;rosenbrock'
"$flt" verify --fidelity --encoding gausian >out.txt 2>err.txt && fail 'an unknown encoding'
[ ! -s out.txt ] || fail "refused, but printed: $(cat out.txt)"

# files: none without a name, none twice however it is spelled, and the results are never written over
for option in out checkpoint weights db; do expect 2 "--$option: the file name is empty" "$flt" train --out w --$option ''; done
for option in text weights out checkpoint; do expect 2 "--$option: the file name is empty" "$flt" fit quadratic --$option ''; done
for verb in 'attend flt' 'replay adam'; do
    expect 2 "--out: the file name is empty" "$flt" $verb --in x --out ''
    expect_sentence 2 'the file of the results (--db)' "$flt" $verb --in x --out ./new.db --db new.db
    expect_sentence 2 'the same file' "$flt" $verb --in x --out "$PWD/x"
done
expect 2 'the same file' "$flt" replay adam --in x --out y --state-out ./y
expect 2 'the same file' "$flt" fit quadratic --checkpoint ./w --out w
expect_sentence 2 'the file of the results (--db)' "$flt" fit quadratic --steps 1 --checkpoint "$FLT_DB"
expect_sentence 2 'the file of the results (--db)' "$flt" train --outer-steps 1 --out test.db
ln -s test.db link.db
expect_sentence 2 'the file of the results (--db)' "$flt" results report -o link.db
expect_sentence 2 'the file of the results (--db)' "$flt" results export run -o test.db
expect 2 '--output: the file name is empty' "$flt" results report -o ''
cp test.db kept.db
expect_sentence 3 'kept.db: cannot be written: it is a database' "$flt" train --tasks quadratic --outer-steps 1 --out kept.db
expect_sentence 3 'kept.db: cannot be written: it is a database' "$flt" results report -o kept.db
expect_sentence 3 'kept.db: cannot be written: it is a database' "$flt" results export run -o kept.db
expect 0 '' "$flt" results list --db kept.db
echo old >behind.csv && ln -s behind.csv before.csv
expect 0 '' "$flt" results export run -o before.csv
[ -L before.csv ] && grep -q '^run_id' behind.csv || fail "a link gave way to what was exported: $(ls -l before.csv)"
mkfifo pipe && expect_sentence 3 'not a regular file' "$flt" results export run -o pipe
"$flt" results export 2>err.txt | head -c 10 >head.txt
[ ! -s err.txt ] || fail "a reader of an export that had enough: $(cat err.txt)"
expect_sentence 2 'nothing to draw.*flt eval' "$flt" results plot --figure profile
expect_sentence 2 "nothing to draw of 'nosuch' in figure 'profile'" "$flt" results plot --figure profile --metric nosuch
expect 2 'csv and --json: one of them' "$flt" results list --csv --json
expect_sentence 2 'nothing to draw.*flt bench' "$flt" results plot --figure bench-time
expect_sentence 2 'flt results show' "$flt" results tail --json

# a terminal that is too narrow for a table has the rest of its columns below
if command -v script >/dev/null; then
    script -qec "stty cols 60; '$flt' fit quadratic --steps 5 --quiet" /dev/null </dev/null | tr -d '\r' >narrow.txt
    awk 'length > 60 { bad = 1 } END { exit bad }' narrow.txt || fail "wider than 60 columns: $(cat narrow.txt)"
    for column in train_loss parameters peak_mib; do grep -q "^task  *optimizer .*$column" narrow.txt || fail "no $column in $(cat narrow.txt)"; done
fi

# help: a line that starts an example is whole, or goes on behind a backslash
for verb in attend bench eval fit list replay results train verify; do
    "$flt" $verb --help | awk '/^  (flt|mpirun) /{ open = 1 }
        open && $0 !~ /^  / && $0 != "" { bad = 1 } { open = open && ($0 ~ /\\$/ || $0 ~ /^  (flt|mpirun) /) } END { exit bad }' ||
        fail "flt $verb --help breaks an example"
done

for verb in 'verify --check fourier' list info; do expect_sentence 2 'no parameters' "$flt" $verb --set a=b; done
expect_sentence 2 'nothing was checked: ladder: flt on alibi left out: .*no spectrum' "$flt" verify --check ladder --encoding alibi --mechanism flt --n 8 --m 4 --r 2 --seeds 1
expect 0 '^flt verify: ladder: flt on alibi left out' "$flt" verify --check ladder --encoding gaussian,alibi --mechanism flt --n 8 --m 4 --r 2 --seeds 1
expect_sentence 2 '65 draws a cell of the ladder; at most 64' "$flt" verify --check ladder --seeds 65
expect_sentence 2 'nothing was checked' "$flt" verify --check streaming --mechanism exact
expect_sentence 2 'is learned' "$flt" eval --optimizers adam --weights w.safetensors
expect 2 'the same file' "$flt" train --checkpoint w --out w
expect_sentence 2 'allowed: portable' env FLT_ISA=foo "$flt" list
expect 0 '^kernels *portable' env FLT_ISA=portable "$flt" info
grep -q avx512f /proc/cpuinfo || expect_sentence 2 "'avx512'.*at most" env FLT_ISA=avx512 "$flt" info

# a database that can't be written
mkdir closed && chmod 500 closed
if [ "$(id -u)" -ne 0 ]; then expect_sentence 3 'closed' "$flt" verify --db closed/x.db --check fourier; fi
expect_sentence 3 'nosuch' "$flt" verify --db nosuch/folder/x.db --check fourier
printf 'this is no database, whatever its name says' >text.db
cp text.db copy.db
expect_sentence 3 'text.db' "$flt" verify --db text.db --check fourier
same text.db copy.db
chmod 700 closed
# who has nothing to save is ended at once
"$flt" list tasks >/dev/null &
sleep 0.3
kill -TERM $!
wait $!
[ $? -eq 143 ] || fail "flt list tasks, asked to end, ended otherwise"
# what tasks cost is measured when they are listed alone
expect 0 'us_per_step.*minibatch_%.*idle_%' "$flt" list tasks
[ "$(grep -c '^[a-z_]*  *[0-9][0-9]*  *[0-9.]' out.txt)" -eq "$(ls "$FLT_SOURCE_DIR"/tasks/*.c | wc -l)" ] || fail 'a task was not measured'
expect 0 'reparam_scale' "$flt" list tasks quadratic
expect 0 '"us_per_step":' "$flt" list tasks quadratic --json
"$flt" list --json | grep -q us_per_step && fail 'flt list measures what was not asked for'
finish
