# SPDX-License-Identifier: MIT
"""Sampling: in each round the probes, ours and every peer in turn; medians over rounds of what was paired in a round."""
import concurrent.futures
import ctypes as c
import gc
import statistics
import time

import torch

from .library import pointer

EDGE, LENGTH = 512, 1 << 23  # of the probes: matrices of 0.27 Gflop a product, vectors beyond the caches
PROBES = 4                   # of each kind in a round
REST = 0.01                  # seconds before each sample: threads that the side before left spinning go to sleep


def clock(run, calls=1):
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def resident(field):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field))


def peak_bytes(build):
    """Most memory that what build() makes and one call of it hold beyond what there was before."""
    gc.collect()
    c.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    before, run = resident("VmRSS"), build()
    run()
    return resident("VmHWM") - before


def apart(got, want):
    """Relative distance."""
    return float((got - want).norm() / want.norm())


class Bench:
    def __init__(self, o, library, store):
        self.o, self.library, self.lib, self.store, self.rows = o, library, library.lib, store, []
        self.square = [[torch.full((EDGE, EDGE), x) for x in (0.5, 0.25, 0.0)] for _ in range(o.threads)]
        self.x, self.y = torch.full((LENGTH,), 1e-3), torch.ones(LENGTH)
        self.pool = concurrent.futures.ThreadPoolExecutor(o.threads)
        self.threads = o.threads

    # ---- what the machine can do

    def each(self, threads, job):
        return list(self.pool.map(job, range(threads))) if threads > 1 else [job(0)]

    # Each thread counts its own best of several, so that neither the first call after a rest nor a thread that wakes late makes
    # the machine look slower than it is.
    def gemm_rate(self, threads):
        """flop/s of a product in each thread"""
        size, one, none = c.c_size_t(EDGE), c.c_float(1), c.c_float(0)

        def job(t):
            a, b, out = map(pointer, self.square[t])
            return min(clock(lambda: self.lib.flt_gemm(False, False, size, size, size, one, a, size, b, size, none, out, size))
                       for _ in range(PROBES))
        return sum(2.0 * EDGE ** 3 / seconds for seconds in self.each(threads, job))

    def stream_rate(self, threads):
        """bytes/s of y += a x in place"""
        part = LENGTH // threads

        def job(t):
            at = 4 * part * t
            return min(clock(lambda: self.lib.flt_axpy(c.c_size_t(part), c.c_float(1e-3), c.c_void_p(self.x.data_ptr() + at),
                                                       c.c_void_p(self.y.data_ptr() + at))) for _ in range(PROBES))
        return sum(12.0 * part / seconds for seconds in self.each(threads, job))

    # ---- a comparison

    def calls_for(self, run):
        run()
        return max(1, int(5e-3 / max(clock(run), 1e-9)))

    def sample(self, sides, calls, before):
        taken = {}
        for name, run in sides.items():
            time.sleep(REST)
            if before is not None:
                before(name)
            taken[name] = clock(run, calls[name])
        return taken

    def compare(self, row, what, n, ours, peers, work=None, threads=None, before=None, parts=1.0):
        """Times ours and peers {name: run}; work {"sgemm": flop, "stream": bytes} of one call of ours. One call is `parts`
        units of what is reported. Returns the row of each peer; without peers one row."""
        threads = threads or self.threads
        sides = {"flt": ours, **peers}
        calls = {name: self.calls_for(run) if before is None else 1 for name, run in sides.items()}
        rounds, rates = [], {"sgemm": [], "stream": []}
        start = time.perf_counter()
        while len(rounds) < self.o.reps and (len(rounds) < 3 or time.perf_counter() - start < self.o.budget):
            time.sleep(REST)
            if work:
                rates["sgemm"].append(self.gemm_rate(threads))
                rates["stream"].append(self.stream_rate(threads))
            rounds.append(self.sample(sides, calls, before))
            for name, seconds in rounds[-1].items():
                self.store.sample(f"{name}:{what}", "peer", n, threads, len(rounds), seconds / parts)
        share = {name: statistics.median(amount / r["flt"] / rate for r, rate in zip(rounds, rates[name]))
                 for name, amount in (work or {}).items()}
        most = max(share, key=share.get) if share else None
        made = []
        for name in list(peers) or [None]:
            r = {"row": row, "what": what, "n": n, "peer": name, "threads": threads, "rounds": len(rounds),
                 "ours_us": 1e6 * statistics.median(t["flt"] for t in rounds) / parts,
                 "share": share.get(most), "share_of": most}
            if name is not None:
                r["peer_us"] = 1e6 * statistics.median(t[name] for t in rounds) / parts
                r["ratio"] = statistics.median(t[name] / t["flt"] for t in rounds)
            made.append(r)
        self.rows += made
        return made

    def plain(self, row, what, n, **values):
        """A row that is no comparison of times."""
        self.rows.append({"row": row, "what": what, "n": n, "peer": None, **values})
        return self.rows[-1]
