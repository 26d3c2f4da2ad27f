#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same work through libflt.so and through PyTorch (and JAX), in turn, in one process: attention forward, causal, streaming and
backward, the digits network, Adam, learned optimizers, threads, the crossover of FLT and exact attention, denormal numbers.

    cmake --build build/release --target flt_shared flt
    scripts/bench/peers.py [--rows flt,adam] [--quick] [--huge] [--mode both|installed|tuned] [--reps 9] [--threads 2]

Prints a Markdown table: times are medians over rounds, ratios medians over rounds of what was paired in a round; `of the limit` is
of matrix products or of a pass over memory in the same rounds, the larger of the two; `memory` is what they hold at most beyond
the inputs by what we do; `apart` is the relative distance of results. Every sample becomes a row of the table timing.

Two runs make the table. `installed`: PyTorch as it comes. `tuned`: with its widest kernels (ATEN_CPU_CAPABILITY), an allocator
that keeps its pages (MALLOC_*) and huge pages (THP_MEM_ALLOC_ENABLE); both sides run under them. --huge adds N = 65,536.
"""
import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

NAMES = ("flt", "flt-causal", "streaming", "exact", "exact-causal", "exact-memory", "nprf", "backward", "digits", "adam", "learned",
         "threads", "crossover", "denormals")


def tuned():
    with open("/proc/cpuinfo") as f:
        widest = "avx512" if " avx512f" in f.read() else "avx2"
    return {"ATEN_CPU_CAPABILITY": widest, "MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184",
            "THP_MEM_ALLOC_ENABLE": "1"}


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lib", default="build/release/libflt.so")
    p.add_argument("--db", default=os.environ.get("FLT_DB", "flt.db"))
    p.add_argument("--rows", default=",".join(NAMES), help="some of " + ",".join(NAMES))
    p.add_argument("--mode", choices=("both", "installed", "tuned"), default="both")
    p.add_argument("--reps", type=int, default=9, help="rounds")
    p.add_argument("--budget", type=float, default=30, help="seconds after which a row ends, from its third round on")
    p.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    p.add_argument("--quick", action="store_true", help="small sizes alone")
    p.add_argument("--huge", action="store_true", help="N = 65,536 as well; exact attention there with all heads")
    p.add_argument("--out", help=argparse.SUPPRESS)  # of a run of one mode: its rows as JSON
    o = p.parse_args()
    o.rows = o.rows.split(",")
    for name in o.rows:
        if name not in NAMES:
            p.error(f"no row '{name}'; the rows are {', '.join(NAMES)}")
    return o


def one_mode(o):
    import torch
    from peers.bench import Bench
    from peers.library import Library, Store
    from peers.rows import ROWS, run
    assert tuple(ROWS) == NAMES
    library = Library(o.lib)
    store = Store(library, o.db, o.threads, o.mode)
    bench = Bench(o, library, store)
    print(f"peers.py: PyTorch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}, {o.mode}; flt "
          f"{library.lib.flt_num_isa().decode()}, {library.lib.flt_num_blas().decode()}; {o.threads} threads", file=sys.stderr)
    for name in run(bench, o.rows):
        print(f"peers.py: {o.mode}: {name}", file=sys.stderr)
    store.close()
    with open(o.out, "w") as f:
        json.dump(bench.rows, f)


def main():
    o = options()
    if o.out:
        return one_mode(o)
    if importlib.util.find_spec("torch") is None:
        print("peers.py: PyTorch is not installed for this Python (python3-torch, or pip install torch): nothing to compare with")
        return 0
    if not os.path.exists(o.lib):
        sys.exit(f"peers.py: {o.lib} is missing; build the target flt_shared, or name it with --lib")
    from peers.table import markdown
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("installed", "tuned") if o.mode == "both" else (o.mode,):
            out = os.path.join(folder, mode)
            arguments = [*sys.argv, "--mode", mode, "--out", out]
            done = subprocess.run([sys.executable, *arguments], env={**os.environ, **(tuned() if mode == "tuned" else {})})
            if done.returncode != 0:
                return done.returncode
            with open(out) as f:
                rows[mode] = json.load(f)
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
