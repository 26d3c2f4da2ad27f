# Shared by the shell tests: sourced, with $FLT_PROGRAM and $MAKE_TENSORS set by CTest and an own, emptied working directory.
set -u
shopt -s nullglob dotglob
rm -rf -- ./*
shopt -u nullglob dotglob
flt=$FLT_PROGRAM
failures=0
export FLT_DB=$PWD/test.db

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# expect STATUS TEXT COMMAND..: the command ends with STATUS and prints TEXT (a basic regular expression; '' is anything).
expect() {
    local status=$1 text=$2 got=0
    shift 2
    "$@" >out.txt 2>&1 || got=$?
    [ "$got" -eq "$status" ] || fail "$* ended with $got, not $status: $(tail -n 3 out.txt)"
    [ -z "$text" ] || grep -q -- "$text" out.txt || fail "$* did not print '$text': $(tail -n 3 out.txt)"
}

# expect_sentence STATUS TEXT COMMAND..: as expect, and what was printed is one line.
expect_sentence() {
    expect "$@"
    [ "$(wc -l <out.txt)" -eq 1 ] || fail "${*:3} printed $(wc -l <out.txt) lines instead of one sentence"
}

missing() { [ ! -e "$1" ] || fail "$1 was left behind"; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }

finish() {
    [ "$failures" -eq 0 ] || exit 1
    echo "all expectations hold"
}
