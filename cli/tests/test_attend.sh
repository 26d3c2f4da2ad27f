# flt attend: every mechanism runs, causal or not; agrees with stored outputs of an independent implementation; refuses bad input.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
golden=$FLT_SOURCE_DIR/cli/tests/golden
tolerance=2e-5
[ "$FLT_DOUBLE" = ON ] && tolerance=1e-11

for want in "$golden"/attend_*_want.safetensors; do
    name=$(basename "$want" _want.safetensors)
    rest=${name#attend_}
    mechanism=${rest%%_*}
    flags=()
    case $name in *causal*) flags=(--causal) ;; esac
    expect 0 '' "$flt" attend "$mechanism" --in "$golden/${name}_in.safetensors" --out "$name.out" "${flags[@]}"
    expect 0 '' "$COMPARE_TENSORS" "$name.out" "$want" "$tolerance"
done

"$MAKE_TENSORS" qkv.safetensors 1 q:2x3x17x8 k:2x3x17x8 v:2x3x17x5
"$MAKE_TENSORS" x.safetensors 1 x:2x3x17x8
"$MAKE_TENSORS" small_x.safetensors 2 x:9x4
"$MAKE_TENSORS" small.safetensors 2 q:9x4 k:9x4 v:9x4
for mechanism in $("$flt" list attention --json | grep '"name"' | head -n 100 | sed 's/.*"name":[ \t]*"\([^"]*\)".*/\1/'); do
    "$flt" list attention "$mechanism" >/dev/null 2>&1 || continue
    small=small.safetensors in=qkv.safetensors
    [ "$mechanism" = fftnet ] && small=small_x.safetensors in=x.safetensors
    expect 0 '' "$flt" attend "$mechanism" --in "$small" --out "$mechanism.st"
    expect 0 '' "$flt" attend "$mechanism" --in "$in" --out "$mechanism.1" --seed 3 --threads 1
    expect 0 '' "$flt" attend "$mechanism" --in "$in" --out "$mechanism.2" --seed 3 --threads 2
    same "$mechanism.1" "$mechanism.2"
done

# a local encoding: its half-width has a name of its own beside the values v
"$MAKE_TENSORS" local.safetensors 4 q:9x4 k:9x4 v:9x4 c::p half_width::i
for mechanism in exact flt; do expect 0 '' "$flt" attend $mechanism --in local.safetensors --out local.out --set rpe=window; done

expect 0 'half_width' "$flt" attend --help
"$MAKE_TENSORS" local.safetensors 4 q:9x4 k:9x4 v:9x4 c::p
expect_sentence 3 "argument 'v'.*half_width" "$flt" attend exact --in local.safetensors --out bad.out --set rpe=window

# a row that sees no key is told, and counted in the file
"$MAKE_TENSORS" hidden.safetensors 5 q:5x4 k:5x4 v:5x4 bias:5x5:hide
expect_sentence 0 '1 of 5 rows of exact' "$flt" attend exact --in hidden.safetensors --out hidden.out
expect 0 '"flagged_rows":"1"' grep -a flagged_rows hidden.out
expect 0 '"flagged_rows":"0"' grep -a flagged_rows exact.st
"$flt" attend exact --in hidden.safetensors --out hidden.out --quiet >out.txt 2>&1
[ -s out.txt ] && fail "--quiet printed $(cat out.txt)"

# bad input: one sentence, no output file
refuse() {
    local status=$1 text=$2
    shift 2
    expect_sentence "$status" "$text" "$flt" attend "$@" --out bad.out
    missing bad.out
}
refuse 3 'missing.safetensors' flt --in missing.safetensors
refuse 2 'did you mean' perfomer --in small.safetensors
head -c 60 small.safetensors >cut.safetensors
refuse 3 'cut.safetensors' flt --in cut.safetensors
head -c 200 small.safetensors >cut2.safetensors
refuse 3 'cut2.safetensors' flt --in cut2.safetensors
"$MAKE_TENSORS" nan.safetensors 1 q:9x4:nan k:9x4 v:9x4
refuse 4 "'*q'*" flt --in nan.safetensors
"$MAKE_TENSORS" shape.safetensors 1 q:9x4 k:8x4 v:9x4
refuse 3 'k' flt --in shape.safetensors
"$MAKE_TENSORS" rank.safetensors 1 q:9 k:9 v:9
refuse 3 'rank' flt --in rank.safetensors
"$MAKE_TENSORS" nov.safetensors 1 q:9x4 k:9x4
refuse 3 "'v'" flt --in nov.safetensors
"$MAKE_TENSORS" omega.safetensors 1 q:9x4 k:9x4 v:9x4 omega:7x5
refuse 3 'omega' performer --in omega.safetensors
"$MAKE_TENSORS" extra.safetensors 1 q:9x4 k:9x4 v:9x4 omga:7x4
refuse 2 "omega" performer --in extra.safetensors
"$MAKE_TENSORS" xinan.safetensors 1 q:9x4 k:9x4 v:9x4 xi:3x1:nan rho:3
refuse 4 'xi' flt --in xinan.safetensors
"$MAKE_TENSORS" empty.safetensors 1 q:0x4 k:0x4 v:0x4
refuse 3 '' flt --in empty.safetensors
refuse 3 "'x'" fftnet --in small.safetensors
refuse 2 'these have: exact' fourier --in small.safetensors --causal
refuse 2 'm' flt --in small.safetensors --set m=0
refuse 2 'did you mean' flt --in small.safetensors --set mm=4
expect_sentence 3 'nosuch' "$flt" attend flt --in small.safetensors --out nosuch/folder/o.safetensors
cp small.safetensors own.safetensors && ln -s own.safetensors link.safetensors
expect_sentence 2 'own.safetensors' "$flt" attend flt --in own.safetensors --out own.safetensors
expect_sentence 2 'link.safetensors' "$flt" attend flt --in own.safetensors --out link.safetensors
same own.safetensors small.safetensors
expect 2 'FILE' "$flt" attend flt --in small.safetensors
finish
