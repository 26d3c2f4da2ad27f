#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same work through PyTorch and through libflt.so, in turn, in one process: attention (exact, FAVOR+, FLT), Adam, the digits
network. Prints medians and their ratio; every sample becomes a row of the table timing.

    cmake --build build/release --target flt_shared
    scripts/bench/peers.py --lib build/release/libflt.so [--n 1024,4096] [--m 256] [--r 32] [--reps 9] [--threads 2] [--tuned]

--tuned runs again with what helps PyTorch: AVX-512 kernels (ATEN_CPU_CAPABILITY), an allocator that keeps its pages (MALLOC_*),
and OpenBLAS kernels that an old OpenBLAS does not choose by itself on a new processor (OPENBLAS_CORETYPE; it counts for both
sides). Both get the same random features, and how far their outputs are apart is printed.
"""
import argparse
import ctypes as c
import math
import os
import statistics
import sys
import time

try:
    import torch
except ImportError:
    print("peers.py: PyTorch is not installed for this Python (python3-torch, or pip install torch): nothing to compare with")
    sys.exit(0)

TUNED = {"ATEN_CPU_CAPABILITY": "avx512", "MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184",
         "OPENBLAS_CORETYPE": "SkylakeX"}
HEADS, WIDTH, CHUNK = 8, 64, 128


# ---- libflt.so, as its headers declare it

class Kind(c.Structure):
    _fields_ = [(n, c.c_char_p) for n in ("name", "summary", "formula", "cost", "citation")] + [("caps", c.c_uint),
                                                                                                ("params", c.c_void_p)]


class Arg(c.Structure):
    _fields_ = [("name", c.c_char_p), ("rank", c.c_size_t), ("dim", c.c_size_t * 8), ("data", c.POINTER(c.c_double))]


class Desc(c.Structure):
    _fields_ = [("mechanism", c.c_char_p), ("B", c.c_size_t), ("H", c.c_size_t), ("N", c.c_size_t), ("d", c.c_size_t),
                ("dv", c.c_size_t), ("causal", c.c_bool), ("n_args", c.c_size_t), ("args", c.POINTER(Arg)),
                ("params", c.c_void_p), ("seed", c.c_uint64), ("threads", c.c_int)]


class Layout(c.Structure):
    _fields_ = [("n", c.c_size_t), ("total", c.c_size_t), ("tensor", c.c_void_p)]


class Batch(c.Structure):
    _fields_ = [("seed", c.c_uint64), ("split", c.c_int), ("step", c.c_uint64)]


class Objective(c.Structure):
    _fields_ = [("self", c.c_void_p), ("spec", c.c_char * 256), ("layout", Layout), ("clip_loss", c.c_double),
                ("normaliser", c.c_double), ("has_minimum", c.c_bool), ("minimum", c.c_double), ("metric", c.c_char_p),
                ("init", c.CFUNCTYPE(None, c.c_void_p, c.c_uint64, c.c_void_p)),
                ("gradient", c.CFUNCTYPE(c.c_float, c.c_void_p, Batch, c.c_void_p, c.c_void_p))]


class Field(c.Structure):
    _fields_ = [("name", c.c_char_p), ("is_text", c.c_bool), ("number", c.c_double), ("text", c.c_char_p)]


class RunInfo(c.Structure):
    _fields_ = [("kind", c.c_char_p), ("argc", c.c_int), ("argv", c.POINTER(c.c_char_p)), ("seed", c.c_uint64),
                ("threads", c.c_int), ("registry_hash", c.c_uint64), ("blas", c.c_char_p), ("fftw", c.c_char_p),
                ("isa", c.c_char_p), ("precision", c.c_char_p)]


class Library:
    def __init__(self, path):
        self.lib = c.CDLL(os.path.abspath(path))
        for name in ("flt_error", "flt_num_blas", "flt_num_fftw", "flt_num_isa"):
            getattr(self.lib, name).restype = c.c_char_p
        self.lib.flt_sum.restype = c.c_float
        self.lib.flt_optimizer_state_words.restype = c.c_size_t
        self.lib.flt_attention_draws.restype = c.c_size_t
        self.lib.flt_attention_workspace.restype = c.c_size_t
        self.lib.flt_store_sink.restype = c.c_void_p
        if self.lib.flt_sum(c.c_size_t(3), (c.c_float * 3)(1, 2, 3)) != 6.0:
            sys.exit(f"peers.py: {path} computes in double; build it in float")

    def call(self, name, *args):
        if getattr(self.lib, name)(*args) != 0:
            sys.exit(f"peers.py: {self.lib.flt_error().decode()}")

    def params(self, kind, **values):
        bag = c.c_void_p()
        self.call("flt_params_create", kind.contents.name, c.c_void_p(kind.contents.params), c.byref(bag))
        for name, value in values.items():
            self.call("flt_params_set", bag, name.encode(), str(value).encode())
        return bag

    def kind(self, family, name):
        kind = c.POINTER(Kind)()
        self.call(f"flt_{family}_find", name.encode(), c.byref(kind))
        return kind

    def plan(self, mechanism, n, causal, threads, args=(), **values):
        array = (Arg * max(1, len(args)))()
        for slot, (name, data) in zip(array, args):
            slot.name, slot.rank, slot.data = name.encode(), data.dim(), c.cast(data.data_ptr(), c.POINTER(c.c_double))
            slot.dim[:data.dim()] = data.shape
        bag = self.params(self.kind("attention", mechanism), **values)
        desc = Desc(mechanism.encode(), 1, HEADS, n, WIDTH, WIDTH, causal, len(args), array, bag, 0, threads)
        plan = c.c_void_p()
        self.call("flt_attention_create", c.byref(desc), c.byref(plan))
        self.lib.flt_params_destroy(bag)
        return plan

    def draws(self, plan):
        """What the plan drew, as float tensors with a leading axis of heads."""
        array, found = (Arg * 16)(), {}
        for arg in array[:self.lib.flt_attention_draws(plan, c.c_size_t(16), array)]:
            shape = list(arg.dim[:arg.rank])
            data = torch.tensor(arg.data[:math.prod(shape)], dtype=torch.float64).reshape(shape)
            found[arg.name.decode()] = data
        return found


class Store:
    """Rows of the table timing, under a run of kind `peers`."""

    def __init__(self, lib, path, threads):
        self.lib, self.store = lib, c.c_void_p()
        argv = (c.c_char_p * len(sys.argv))(*[a.encode() for a in sys.argv])
        n = lib.lib
        info = RunInfo(b"peers", len(sys.argv), argv, 0, threads, 0, n.flt_num_blas(), n.flt_num_fftw(), n.flt_num_isa(),
                       b"float")
        lib.call("flt_store_open", path.encode(), 1, c.byref(self.store))
        lib.call("flt_store_begin", self.store, c.byref(info), None)
        lib.call("flt_store_param", self.store, b"torch", torch.__version__.encode())
        lib.call("flt_store_param", self.store, b"tuned", str(is_tuned()).lower().encode())

    def sample(self, subject, phase, n, threads, rep, seconds):
        fields = (Field * 6)(Field(b"subject", True, 0, subject.encode()), Field(b"phase", True, 0, phase.encode()),
                             Field(b"n", False, n), Field(b"threads", False, threads), Field(b"rep", False, rep),
                             Field(b"seconds", False, seconds))
        self.lib.call("flt_sink_record", c.c_void_p(self.lib.lib.flt_store_sink(self.store)), b"timing", c.c_size_t(6), fields)

    def close(self):
        self.lib.call("flt_store_end", self.store, b"done", 0, None)
        self.lib.lib.flt_store_close(self.store)


def is_tuned():
    return all(os.environ.get(name) == value for name, value in TUNED.items())


# ---- PyTorch's side

def exact(q, k, v, bias):
    return torch.softmax(torch.baddbmm(bias, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5), -1) @ v


def fused(q, k, v, bias):
    return torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=bias[None])[0]


def features(x, omega):
    u = x @ omega.transpose(1, 2) - 0.5 * (x * x).sum(-1, keepdim=True)
    return u, u.amax(-1, keepdim=True)


def linear(q, k, v, omega, causal):
    """q, k [H, N, D] already scaled, with their snippets."""
    u, top = features(q, omega)
    fq = torch.exp(u - top)
    u, top = features(k, omega)
    fk = torch.exp(u - top.amax(1, keepdim=True))
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    out = prefix(fq, fk, v) if causal else fq @ (fk.transpose(1, 2) @ v)
    return out[..., :-1] / out[..., -1:]


def prefix(fq, fk, v):
    h, n, m = fq.shape
    size = min(CHUNK, n)
    fq, fk, v = fq.reshape(h, -1, size, m), fk.reshape(h, -1, size, m), v.reshape(h, n // size, size, -1)
    states = fk.transpose(2, 3) @ v
    before = torch.cumsum(states, 1) - states
    inside = torch.tril(fq @ fk.transpose(2, 3)) @ v
    return (inside + fq @ before).reshape(h, n, -1)


def snippets(draws, n):
    """a, b [H, N, 2r] at positions 0 .. N-1."""
    phase = 2 * math.pi * ((torch.arange(n, dtype=torch.float64)[:, None] * heads(draws["xi"], 2)[..., 0][:, None, :]) % 1.0)
    rho, scale = heads(draws["rho"], 1)[:, None, :], phase.shape[-1] ** -0.5
    cosine, sine = torch.cos(phase) * scale, torch.sin(phase) * scale
    return (torch.cat([rho * cosine, rho * sine], -1).float().expand(HEADS, -1, -1),
            torch.cat([cosine, sine], -1).float().expand(HEADS, -1, -1))


def heads(x, rank):
    return x if x.dim() > rank else x[None]


# ---- side by side

def clock(run, calls):
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def calls_for(run):
    run()
    return max(1, int(3e-3 / max(clock(run, 1), 1e-9)))


def compare(o, what, n, ours, peers, error=None):
    """peers: name -> function. A round runs every peer and ours, in turn."""
    sides = {"flt": ours, **peers}
    calls, times = {name: calls_for(run) for name, run in sides.items()}, {name: [] for name in sides}
    for rep in range(o.reps):
        for name, run in sides.items():
            times[name].append(clock(run, calls[name]))
            o.store.sample(f"{name}:{what}", "peer", n, o.threads, rep, times[name][-1])
    mine = statistics.median(times["flt"])
    for name in peers:
        ratio = statistics.median(t / f for t, f in zip(times[name], times["flt"]))
        peer, apart = statistics.median(times[name]), "" if error is None else f"{error:.1e}"
        print(f"{what:<30} {n:>8} {name:<16} {1e6 * peer:>12.1f} {1e6 * mine:>12.1f} {ratio:>8.2f} {apart:>8}", flush=True)


def attention(o, n, causal):
    shape, suffix = (HEADS, n, WIDTH), "causal" if causal else "bidirectional"
    torch.manual_seed(0)
    q, k, v = 0.5 * torch.randn(shape), 0.5 * torch.randn(shape), torch.randn(shape)
    out, lib = torch.empty(shape), o.lib
    pointers = [c.c_void_p(x.data_ptr()) for x in (q, k, v, out)]
    shrink = WIDTH ** -0.25

    def against(what, plan, peers):
        def ours():
            lib.lib.flt_attention_forward(plan, *pointers)
        ours()
        want = next(iter(peers.values()))()
        compare(o, f"{what} {suffix}", n, ours, peers, float((out - want).norm() / want.norm()))
        lib.lib.flt_attention_destroy(plan)

    if n <= o.exact_limit:
        lags = 0.3 * torch.cos(torch.arange(-(n - 1), n, dtype=torch.float64) * 0.02)
        bias = lags[(torch.arange(n)[None, :] - torch.arange(n)[:, None]) + n - 1].float()
        bias = (bias.masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf) if causal else bias).expand(HEADS, n, n)
        peers = {"torch": lambda: exact(q, k, v, bias)}
        if hasattr(torch.nn.functional, "scaled_dot_product_attention"):
            peers["torch sdpa+mask"] = lambda: fused(q, k, v, bias)
        against("exact with RPE", lib.plan("exact", n, causal, o.threads, [("lag_bias", lags)]), peers)
    plan = lib.plan("performer", n, causal, o.threads, m=o.m)
    omega = heads(lib.draws(plan)["omega"], 2).float().expand(HEADS, -1, -1)
    against("performer", plan, {"torch": lambda: linear(q * shrink, k * shrink, v, omega, causal)})
    plan = lib.plan("flt", n, causal, o.threads, m=o.m, r=o.r)
    draws = lib.draws(plan)
    a, b = snippets(draws, n)
    wide = heads(draws["omega"], 2).float().expand(HEADS, -1, -1)

    def peer():
        return linear(torch.cat([q * shrink, a], -1), torch.cat([k * shrink, b], -1), v, wide, causal)

    against("flt", plan, {"torch": peer})


def adam(o, total, tensors=20):
    lib, size = o.lib, total // tensors
    layout, optimizer, kind = Layout(), c.c_void_p(), lib.kind("optimizer", "adam")
    for i in range(tensors):
        lib.call("flt_layout_add", c.byref(layout), f"w{i}".encode(), c.c_size_t(1), (c.c_size_t * 1)(size))
    lib.call("flt_optimizer_create", kind, None, c.byref(layout), c.byref(optimizer))
    param, grad = torch.randn(size * tensors), torch.randn(size * tensors)
    state = torch.zeros(lib.lib.flt_optimizer_state_words(optimizer))
    lib.lib.flt_optimizer_init(optimizer, c.c_void_p(state.data_ptr()))
    arguments = optimizer, c.c_uint64(1), c.c_float(1), *(c.c_void_p(x.data_ptr()) for x in (grad, param, state))

    def peer(**options):
        own = [torch.nn.Parameter(torch.randn(size)) for _ in range(tensors)]
        for p in own:
            p.grad = torch.randn(size)
        return torch.optim.Adam(own, lr=1e-3, **options).step

    peers = {"torch": peer(), "torch foreach": peer(foreach=True)}
    try:
        peers["torch fused"] = peer(fused=True)
        peers["torch fused"]()
    except (RuntimeError, TypeError):
        peers.pop("torch fused", None)
    compare(o, f"adam, {tensors} tensors", total, lambda: lib.lib.flt_optimizer_step(*arguments), peers)
    lib.lib.flt_optimizer_destroy(optimizer)
    lib.lib.flt_layout_free(c.byref(layout))


def digits(o, batch):
    lib, objective, optimizer = o.lib, c.POINTER(Objective)(), c.c_void_p()
    lib.call("flt_task_create", f"digits_mlp:batch={batch},augment=false".encode(), c.byref(objective))
    task = objective.contents
    lib.call("flt_optimizer_create", lib.kind("optimizer", "adam"), None, c.byref(task.layout), c.byref(optimizer))
    theta, grad = torch.zeros(task.layout.total), torch.zeros(task.layout.total)
    state = torch.zeros(lib.lib.flt_optimizer_state_words(optimizer))
    theta_p, grad_p, state_p = (c.c_void_p(x.data_ptr()) for x in (theta, grad, state))
    task.init(task.self, 0, theta_p)
    lib.lib.flt_optimizer_init(optimizer, state_p)
    step = [0]

    def ours():
        loss = task.gradient(task.self, Batch(0, 0, step[0]), theta_p, grad_p)
        lib.lib.flt_optimizer_step(optimizer, c.c_uint64(step[0]), c.c_float(loss), grad_p, theta_p, state_p)
        step[0] += 1

    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    rule, x, y = torch.optim.Adam(net.parameters(), lr=1e-3), torch.rand(batch, 64), torch.randint(0, 10, (batch,))

    def peer():
        rule.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        rule.step()

    compare(o, f"digits step, batch {batch}", task.layout.total, ours, {"torch autograd": peer})
    lib.lib.flt_optimizer_destroy(optimizer)
    lib.lib.flt_objective_destroy(objective)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lib", default="build/release/libflt.so")
    p.add_argument("--db", default=os.environ.get("FLT_DB", "flt.db"))
    p.add_argument("--n", default="1024,4096", help="tokens")
    p.add_argument("--m", type=int, default=256)
    p.add_argument("--r", type=int, default=32)
    p.add_argument("--reps", type=int, default=9)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--exact-limit", type=int, default=4096, help="the most tokens of exact attention: N^2 in memory for PyTorch")
    p.add_argument("--only", choices=("attention", "adam", "digits"))
    p.add_argument("--tuned", action="store_true")
    o = p.parse_args()
    if o.tuned and not is_tuned():
        os.environ.update(TUNED)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    if not os.path.exists(o.lib):
        sys.exit(f"peers.py: {o.lib} is missing; build the target flt_shared, or name it with --lib")
    torch.set_num_threads(o.threads)
    o.lib = Library(o.lib)
    o.store = Store(o.lib, o.db, o.threads)
    print(f"PyTorch {torch.__version__}, {'tuned' if is_tuned() else 'as installed'}; flt: {o.lib.lib.flt_num_isa().decode()}; "
          f"{o.threads} threads for attention, 1 for the rest; ratio: median over paired rounds; apart: relative distance")
    print(f"{'what':<30} {'n':>8} {'peer':<16} {'peer us':>12} {'flt us':>12} {'ratio':>8} {'apart':>8}")
    with torch.no_grad():
        for n in map(int, o.n.split(",")) if o.only in (None, "attention") else ():
            attention(o, n, False)
            attention(o, n, True)
    torch.set_num_threads(1)
    o.threads = 1
    for total in (1000, 10000, 100000, 1000000, 10000000) if o.only in (None, "adam") else ():
        adam(o, total)
    for batch in (32, 128) if o.only in (None, "digits") else ():
        digits(o, batch)
    o.store.close()


main()
