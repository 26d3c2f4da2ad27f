#!/usr/bin/env bash
# From nothing to a meta-trained optimizer: installs what is missing, builds, verifies, meta-trains an FLT optimizer on real digits,
# compares it with learning-rate-tuned Adam on seeds it never saw, and shows what was logged. A few minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
[ -t 1 ] || step() { printf '\n== %s\n' "$*"; }

step "1/6 install what is missing"
scripts/setup.sh

step "2/6 build"
cmake --preset release >/dev/null
cmake --build build/release --target flt -j "$(nproc)" | grep -v -E '^\[.*(Building|Built|Linking|Generating)|Looking up' || [ "${PIPESTATUS[0]}" -eq 0 ]
flt=$root/build/release/cli/flt
work=$root/build/quickstart
export OMP_WAIT_POLICY=passive # threads that wait do not hold a core
mkdir -p "$work"
cd "$work"
export FLT_DB=$work/quickstart.db
echo "built $("$flt" --version); results go to build/quickstart/quickstart.db"

step "3/6 verify: linear attention against oracles and exact attention"
"$flt" verify --level quick

step "4/6 meta-train the FLT optimizer on digits"
rm -f run.ckpt
"$flt" train --optimizer flt --tasks digits_mlp --outer-steps 1000 --checkpoint run.ckpt --outer-schedule cosine --outer-final 0.1 --out flt.safetensors --set lr=0.003 form=adaptive basis=eigen

step "5/6 compare with Adam at the best of 15 learning rates, on 5 seeds that meta-training never used"
"$flt" eval --optimizers flt,adam --weights flt.safetensors --tasks digits_mlp --steps 500 --seeds 5 --tune lr

step "6/6 what was logged"
"$flt" results list

cat <<END

speedup is Adam's steps to its own final loss, divided by the steps that the optimizer needs to reach it.

next:
  cd "$work"; export FLT_DB="$FLT_DB"; alias flt="$flt"
  flt list optimizers flt                       what the FLT optimizer is, and its parameters
  flt train --resume --checkpoint run.ckpt --outer-steps 2000 --outer-schedule cosine --outer-schedule-steps 1000 --outer-final 0.1 --out longer.safetensors --set lr=0.003 form=adaptive basis=eigen
                                                from where it stopped, as long again, at the rate that it ended with
  flt eval --optimizers flt@shipped,adam --tasks glyphs --tune lr    the shipped weights on a task they never saw
  flt verify --level full --mechanism flt       the whole error ladder
  flt results show 1                            everything about the first run
  flt results sql "SELECT mechanism, n, m, r, error_total FROM ladder ORDER BY error_total"
END
