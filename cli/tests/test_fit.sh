# flt fit: the same bits again, across kill -9, Ctrl-C and --resume; curves in the store; settings to whom they belong; refusals.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
small=(bytes_transformer --set width=8 depth=1 expansion=1 length=8 batch=2 attention=exact rpe=gaussian_mixture lr=1e-2 --quiet)

expect 0 'bits_per_byte' "$flt" fit "${small[@]}" --steps 40 --out a.safetensors
expect 0 '' "$flt" fit "${small[@]}" --steps 40 --out b.safetensors
same a.safetensors b.safetensors

# resumed in the middle, and again at the end
expect 0 '' "$flt" fit "${small[@]}" --steps 17 --checkpoint half.ckpt --out half.safetensors
expect 0 '' "$flt" fit "${small[@]}" --steps 40 --checkpoint half.ckpt --resume --out c.safetensors
same a.safetensors c.safetensors
expect 0 '' "$flt" fit "${small[@]}" --steps 40 --checkpoint half.ckpt --resume --out c.safetensors
! grep -q nan out.txt || fail "no step was left to time: $(cat out.txt)"
same a.safetensors c.safetensors

# settings in the spec, through --set with a prefix, before the task: one run
expect 0 '' "$flt" fit --optimizer adam --set task.width=8 optimizer.lr=1e-2 --quiet --steps 40 --out d.safetensors \
    bytes_transformer:depth=1,expansion=1,length=8,batch=2,attention=exact,rpe=gaussian_mixture
same a.safetensors d.safetensors

# a learned optimizer, and one that has its own rate
expect 0 'flt' "$flt" fit digits_mlp:width=4,batch=4 --optimizer flt --steps 3 --quiet
expect 0 'sgd' "$flt" fit quadratic:dimension=3 --optimizer sgd --set lr=0.01 --steps 5 --quiet

# kill -9 somewhere, go on, until it is done
long=(fit "${small[@]}" --steps 4000 --checkpoint-every 50)
whole() { expect 0 '' "$flt" fit "${small[@]}" --steps "$1" --out whole.safetensors; }
whole 600
"$flt" "${long[@]}" --checkpoint killed.ckpt --out killed.safetensors >/dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do [ -e killed.ckpt ] && break; sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
at=$(grep -a -o '"step":"[0-9]*"' killed.ckpt | tr -dc 0-9)
[ "$at" -le 600 ] || whole "$at"
[ "$at" -gt 600 ] || at=600
expect 0 '' "$flt" "${long[@]}" --steps "$at" --checkpoint killed.ckpt --resume --out killed.safetensors
same whole.safetensors killed.safetensors

expect 2 'checkpoint-every needs --checkpoint FILE' "$flt" "${long[@]}" --out x

# a folder that goes away meanwhile: why it stopped and where to go on is told all the same
mkdir gone
"$flt" "${long[@]}" --steps 1000000 --checkpoint gone.ckpt --out gone/w >/dev/null 2>gone.txt &
pid=$!
for _ in $(seq 200); do [ -e gone.ckpt ] && break; sleep 0.02; done
rm -r gone
kill -INT $pid
wait $pid
grep -q 'gone/w: cannot be written.*stopped at step.*resume from gone.ckpt' gone.txt || fail "without a folder: $(cat gone.txt)"

# Ctrl-C: parameters and checkpoint are written
"$flt" "${long[@]}" --steps 1000000 --checkpoint stopped.ckpt --out stopped.safetensors >/dev/null 2>stop.txt &
pid=$!
for _ in $(seq 200); do [ -e stopped.ckpt ] && break; sleep 0.02; done
kill -INT $pid
status=0
wait $pid || status=$?
[ $status -eq 3 ] || fail "Ctrl-C ended with $status: $(cat stop.txt)"
grep -q 'resume from stopped.ckpt; parameters so far are in stopped.safetensors' stop.txt || fail "Ctrl-C said $(cat stop.txt)"
[ -s stopped.safetensors ] || fail 'Ctrl-C left no parameters'
expect 0 'interrupted' "$flt" results list

# several seeds are several runs, each with its files; the store ranks and compares them
expect 0 '' "$flt" fit quadratic --steps 20 --seeds 3 --seed 5 --set lr=0.1 --out q.safetensors --checkpoint q.ckpt --quiet
for s in 5 6 7; do [ -s q.$s.safetensors ] && [ -s q.$s.ckpt ] || fail "seed $s has no files"; done
missing q.safetensors
rm q.6.ckpt
expect 0 '' "$flt" fit quadratic --steps 30 --seeds 3 --seed 5 --set lr=0.1 --checkpoint q.ckpt --resume --quiet
expect_sentence 3 'z.5.ckpt: there is no such checkpoint' "$flt" fit quadratic --steps 30 --seeds 3 --seed 5 --checkpoint z.ckpt --resume
expect 0 'adam' "$flt" results best --task quadratic
"$flt" results sql "SELECT count(*) AS n FROM evaluation WHERE task = 'quadratic'" --csv | tr -d '\r' | grep -qx 6 || fail 'six evaluations were expected'
"$flt" results sql "SELECT count(DISTINCT n.name) AS n FROM metric JOIN metric_name n USING(metric_id) WHERE n.name IN
    ('train_loss', 'valid_loss', 'test_loss', 'valid_bits_per_byte', 'test_bits_per_byte', 'steps_per_s', 'peak_bytes')" --csv | tr -d '\r' |
    grep -qx 7 || fail 'a curve is missing'

# divergence is an answer, and stored
expect_sentence 4 'not finite\|the training loss is' "$flt" fit rosenbrock:dimension=2 --optimizer sgd --set lr=1e3 --steps 50 --quiet

# refusals
expect_sentence 2 'did you mean' "$flt" fit bytes_transfomer
expect_sentence 2 "'widht'.*neither of the task digits_mlp (width" "$flt" fit digits_mlp --set widht=3
expect_sentence 2 "'lr' is no parameter of the task digits_mlp; it has width" "$flt" fit digits_mlp --set task.lr=3
expect_sentence 2 "'width' is no parameter of the optimizer adam; it has lr" "$flt" fit digits_mlp --set optimizer.width=3
expect_sentence 2 'both the task.*task.heads or optimizer.heads' "$flt" fit bytes_transformer --optimizer flt --set heads=2
expect_sentence 3 'nosuch.txt' "$flt" fit bytes_transformer --text nosuch.txt
expect_sentence 2 'reads no text' "$flt" fit digits_mlp --text nosuch.txt
expect_sentence 2 'not share out' "$flt" fit bytes_transformer --set width=30 heads=4
expect_sentence 2 'no causal form' "$flt" fit bytes_transformer --set attention=fftnet
expect_sentence 2 'adam is not learned' "$flt" fit digits_mlp --weights a.safetensors
expect_sentence 3 'nosuch/w' "$flt" fit digits_mlp --out nosuch/w
expect_sentence 3 'nosuch.ckpt' "$flt" fit "${small[@]}" --checkpoint nosuch.ckpt --resume
expect_sentence 2 'task=' "$flt" fit "${small[@]}" --set length=9 --checkpoint half.ckpt --resume --steps 50
expect_sentence 2 'beyond the 20' "$flt" fit "${small[@]}" --checkpoint half.ckpt --resume --steps 20
cp half.ckpt flipped.ckpt && printf 'Z' | dd of=flipped.ckpt bs=1 seek=$(($(stat -c %s flipped.ckpt) - 100)) conv=notrunc 2>/dev/null
expect_sentence 3 'flipped.ckpt' "$flt" fit "${small[@]}" --checkpoint flipped.ckpt --resume --steps 50
expect 2 'TASK is needed' "$flt" fit
expect 2 'write --set before it' "$flt" fit digits_mlp lr=3
expect 2 'one task at a time' "$flt" fit digits_mlp quadratic
expect 2 'two files' "$flt" fit digits_mlp --out a --checkpoint a
expect 0 '^  flt fit bytes_transformer' "$flt" fit --help
ls ./*.tmp* 2>/dev/null && fail 'temporary files were left behind'
finish
