# Every verb of flt results on files that are missing, empty, without a run, damaged, newer, older and read-only: the right status, one
# sentence that names the file, and the file as it was.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
golden=$FLT_SOURCE_DIR/results/tests/golden
gzip -dc "$golden/store_v2.db.gz" >whole.db
gzip -dc "$golden/store_v1.db.gz" >old.db
mkdir -p bin
printf '#!/bin/sh\ncat >/dev/null\n' >bin/gnuplot
chmod +x bin/gnuplot
PATH=$PWD/bin:$PATH

readers=('list' 'list --where seed=0' 'show 1' 'show last --json' 'tail 1' 'compare 1 2' 'best' 'best --metric error_total' 'plot 1 --metric meta_loss'
    'plot --figure error-m -o x.svg' 'report -o x.html' 'schema' 'schema run' 'sql SELECT-run_id-FROM-run' 'export run -o x.csv' 'export -o x.json')
some=('list' 'show 1' 'report -o x.html' 'sql SELECT-run_id-FROM-run' 'tag 1 x' 'gc' 'import whole.db')
writers=('tag 1 x' 'note 1 x' 'rm --yes 1' 'gc' 'import whole.db')

# each STATUS TEXT VERBS..: every verb on $FLT_DB ends with STATUS and one line with TEXT; the file stays as it is.
each() {
    local status=$1 text=$2 verb words
    shift 2
    for verb in "$@"; do
        read -ra words <<<"$verb"
        [ "${words[0]}" = sql ] && words=(sql "${words[1]//-/ }")
        [ ! -e "$FLT_DB" ] || cp "$FLT_DB" before.db
        expect "$status" "$text" "$flt" results "${words[@]}"
        [ "$status" -eq 0 ] || [ "$(wc -l <out.txt)" -eq 1 ] || fail "$verb on $FLT_DB printed $(wc -l <out.txt) lines"
        [ "$status" -eq 0 ] || [ ! -e "$FLT_DB" ] || same "$FLT_DB" before.db
        [ -z "$(grep -l Sanitizer out.txt)" ] || fail "$verb on $FLT_DB: $(head -n 5 out.txt)"
    done
}

export FLT_DB=missing.db
each 3 'missing.db.*no such file' "${readers[@]}" 'tag 1 x' 'note 1 x' 'rm --yes 1' 'gc'
missing missing.db

: >empty.db
export FLT_DB=empty.db
each 3 'empty.db.*is empty' "${readers[@]}" 'tag 1 x' 'note 1 x' 'rm --yes 1' 'gc'

export FLT_DB=fresh.db # the tables are there, no run is
cp whole.db fresh.db
for run in 1 2 3 4 5 6 7; do expect 0 '' "$flt" results rm --yes $run; done
each 2 'fresh.db.*no run has been recorded\|fresh.db.*no run 1' 'show 1' 'show last' 'compare 1 2' 'tag 1 x' 'note 1 x' 'rm --yes 1'
each 2 'nothing to draw' 'plot' 'plot --figure error-m' 'plot --figure profile'
each 0 '' 'list' 'best' 'best --metric error_total' 'report -o x.html' 'schema' 'export -o x.json' 'sql SELECT-run_id-FROM-run' 'gc'

export FLT_DB=newer.db
cp whole.db newer.db
printf '\0\0\0\143' | dd of=newer.db bs=1 seek=60 conv=notrunc 2>/dev/null # user_version 99
each 3 'newer.db.*newer flt' "${some[@]}"

export FLT_DB=foreign.db
cp whole.db foreign.db
printf '\0\0\0\7' | dd of=foreign.db bs=1 seek=68 conv=notrunc 2>/dev/null # application_id
each 3 'foreign.db.*another program' "${some[@]}"

export FLT_DB=text.db
yes 'somebody wrote this by hand' | head -n 500 >text.db
each 3 'text.db.*not a database' "${some[@]}"

export FLT_DB=damaged.db
head -c 30000 whole.db >damaged.db
each 3 'damaged.db' "${readers[@]}" "${writers[@]}"

# A page in the middle of the rows: verbs that do not meet it answer, the others name the file; none crashes. (Every page in turn:
# results/tests/test_open.c.)
export FLT_DB=spoilt.db
for page in 15; do
    for verb in "${readers[@]}"; do
        read -ra words <<<"$verb"
        [ "${words[0]}" = sql ] && words=(sql "${words[1]//-/ }")
        cp whole.db spoilt.db
        head -c 4096 /dev/zero | tr '\0' '\245' | dd of=spoilt.db bs=4096 seek=$page conv=notrunc 2>/dev/null
        got=0
        "$flt" results "${words[@]}" >out.txt 2>&1 || got=$?
        [ $got -eq 0 ] || [ $got -eq 3 ] || [ $got -eq 2 ] || fail "$verb with page $page spoilt ended with $got: $(tail -n 2 out.txt)"
        [ $got -ne 3 ] || grep -q 'spoilt.db' out.txt || fail "$verb with page $page spoilt does not name the file: $(tail -n 1 out.txt)"
    done
done

export FLT_DB=old.db
each 0 '' "${readers[@]}" "${writers[@]}"

# a disk that is full, as far as one without rights can have it: what was committed stays, the run is failed and says why
export FLT_DB=full.db
eval_more() { "$flt" eval --optimizers sgd,adam --tasks quadratic,booth --steps 500 --seeds 8; }
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2
(ulimit -f 180 && eval_more) >out.txt 2>&1 && fail 'a full disk was not noticed'
grep -q 'full.db.*was reached.*rows committed before are safe.*were not written' out.txt || fail "a full disk: $(tail -n 1 out.txt)"
# interrupted: where not even the status found room
expect 0 '2  eval  \(failed\|interrupted\)' "$flt" results list
expect 0 '^ *1$' "$flt" results sql "SELECT count(*) FROM run WHERE status = 'done'"
expect 0 '' eval_more
expect 0 '3  eval  done' "$flt" results list

# as a user who may read and nothing else
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    as_user=(setpriv --reuid=65534 --clear-groups)
    "${as_user[@]}" true 2>/dev/null && "${as_user[@]}" "$flt" --version >/dev/null 2>&1 || as_user=(false)
fi
# and, below a home that is closed to that user, in a folder that is not
if [ "${as_user[*]}" != false ] && ! "${as_user[@]}" test -r "$PWD/whole.db"; then
    public=$(mktemp -d)
    trap 'rm -rf "$public"' EXIT
    chmod 755 "$public"
    cp -r whole.db bin "$public"
    cd "$public" || exit 1
    PATH=$public/bin:$PATH
fi
if [ "${as_user[*]}" != false ]; then
    mkdir -p sealed open
    cp whole.db sealed/sealed.db
    chmod 777 open
    chmod 444 sealed/sealed.db
    chmod 555 sealed
    program=$flt
    cp sealed/sealed.db before.db
    for verb in "${readers[@]}"; do
        read -ra words <<<"${verb//x./open/x.}"
        [ "${words[0]}" = sql ] && words=(sql "${words[1]//-/ }")
        expect 0 '' "${as_user[@]}" "$program" results "${words[@]}" --db sealed/sealed.db
    done
    for verb in "${writers[@]}"; do
        # shellcheck disable=SC2086
        expect_sentence 3 'sealed.db.*cannot be written' "${as_user[@]}" "$program" results $verb --db sealed/sealed.db
    done
    same sealed/sealed.db before.db
    chmod 777 sealed
fi
finish
