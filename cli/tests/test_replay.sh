# flt replay: every optimizer follows a gradient sequence on mixed ranks; refuses bad input.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
"$MAKE_TENSORS" in.safetensors 1 param.a:4x9 grad.a:12x4x9 param.s: grad.s:12 param.b:7 grad.b:12x7 param.c:3x3x2x5 grad.c:12x3x3x2x5

optimizers=
for source in "$FLT_SOURCE_DIR"/optimizers/*.c; do optimizers+=" $(basename "$source" .c)"; done
for optimizer in $optimizers; do
    expect 0 '' "$flt" list optimizers "$optimizer"
    expect 0 '' "$flt" replay "$optimizer" --in in.safetensors --out "$optimizer.1"
    expect 0 '' "$flt" replay "$optimizer" --in in.safetensors --out "$optimizer.2" --threads 2
    same "$optimizer.1" "$optimizer.2"
done

refuse() {
    local status=$1 text=$2
    shift 2
    expect_sentence "$status" "$text" "$flt" replay "$@" --out bad.out
    missing bad.out
}
refuse 3 'missing.safetensors' adam --in missing.safetensors
refuse 2 'did you mean' adma --in in.safetensors
refuse 2 'lr' adam --in in.safetensors --set lr=-1
refuse 2 'not a number\|not a real\|number' adam --in in.safetensors --set lr=fast
refuse 2 'no --weights' adam --in in.safetensors --weights in.safetensors
refuse 3 'in.safetensors\|wq' flt --in in.safetensors --weights in.safetensors
"$MAKE_TENSORS" nograd.safetensors 1 param.a:3
refuse 3 'grad.a' adam --in nograd.safetensors
"$MAKE_TENSORS" steps.safetensors 1 param.a:3 grad.a:5x3 param.b:2 grad.b:6x2
refuse 3 'grad.b' adam --in steps.safetensors
"$MAKE_TENSORS" shape.safetensors 1 param.a:3 grad.a:5x4
refuse 3 'grad.a' adam --in shape.safetensors
"$MAKE_TENSORS" nan.safetensors 1 param.a:3 grad.a:5x3:nan
refuse 4 'grad.a' adam --in nan.safetensors
"$MAKE_TENSORS" other.safetensors 1 param.a:3 grad.a:5x3 other:2
refuse 3 'other' adam --in other.safetensors

# state: a run goes on from what another left, and from nothing else
for optimizer in $optimizers; do
    expect 0 '' "$flt" replay "$optimizer" --in in.safetensors --out whole.out --state-out whole.state
    expect 0 '' "$flt" replay "$optimizer" --in in.safetensors --out more.1 --state-in whole.state --state-out more.state
    expect 0 '' "$flt" replay "$optimizer" --in in.safetensors --out more.2 --state-in whole.state
    same more.1 more.2
    [ "$optimizer" = sgd ] || ! cmp -s whole.out more.1 || fail "$optimizer: the state makes no difference"
    refuse 3 'other.state\|cannot' "$optimizer" --in in.safetensors --state-in other.state
done
expect 0 '' "$flt" replay flt --in in.safetensors --out whole.out --state-out whole.state
refuse 2 'optimizer' adam --in in.safetensors --state-in whole.state
"$MAKE_TENSORS" fewer.safetensors 1 param.a:4x9 grad.a:12x4x9
refuse 2 'tensors' flt --in fewer.safetensors --state-in whole.state
refuse 2 'memory' flt --in in.safetensors --state-in whole.state --set memory=discount
refuse 3 'no state' flt --in in.safetensors --state-in in.safetensors
finish
