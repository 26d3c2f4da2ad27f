# SPDX-License-Identifier: MIT
"""Rows of attention: forward, streaming, backward, memory, crossover."""
import torch

from . import definitions as d
from .bench import apart, peak_bytes
from .library import HEADS, WIDTH, Plan

M, R, NPRF_M = 256, 32, 32
COMPILED = 4096  # the one size at which what must be compiled first is measured; with --quick the only size there is


def inputs(n, count=HEADS):
    torch.manual_seed(0)
    shape = (count, n, WIDTH)
    return 0.5 * torch.randn(shape), 0.5 * torch.randn(shape), torch.randn(shape)


def linear_flops(n):
    return HEADS * 4.0 * n * M * 2 * WIDTH


def exact_flops(n, causal):
    return HEADS * 2.0 * n * ((n + 1) / 2 if causal else n) * 2 * WIDTH


def as_torch(x):
    import numpy
    return x if isinstance(x, torch.Tensor) else torch.from_numpy(numpy.array(x))


def optional(bench, what, n, name, make):
    """make() -> run, and what run() gives; or a row that says why there is none."""
    try:
        run = make()
        return run, as_torch(run())
    except Exception as error:  # whatever a peer answers belongs into the table
        said = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        bench.plain("unsupported", what, n, peer_name=name, note=said)
        return None, None


def by_jax(function, *tensors):
    import jax.numpy as jnp
    arguments = [jnp.asarray(x.contiguous().numpy()) for x in tensors]
    return lambda: function(*arguments).block_until_ready()


def compare_peers(bench, row, what, n, ours, out, peers, others, work, goals):
    """peers: name -> run; others: name -> make, which may fail. Adds distances of outputs and goals."""
    ours()
    distance = {name: apart(out, run()) for name, run in peers.items()}
    for name, make in others.items():
        run, value = optional(bench, what, n, name, make)
        if run is not None:
            peers[name], distance[name] = run, apart(out, value)
    made = bench.compare(row, what, n, ours, peers, work)
    for r in made:
        r.update(apart=distance[r["peer"]], goal=goals.get(r["peer"]))
    made[0]["share_goal"] = goals.get("share")
    return made


# ---- forward

def flt_forward(bench, n, causal, small=False):
    """small: without a table of projected positions, which is most of what a plan holds."""
    o, (q, k, v), values = bench.o, inputs(n), {"m": M, "r": R, **({"table_mib": 0} if small else {})}
    out = torch.empty_like(v)
    plan = Plan(bench.library, "flt", n, causal, o.threads, **values)
    a, b, omega = d.snippets(plan.draws(), n)
    what = f"FLT {'causal' if causal else 'bidirectional'}{', table_mib=0' if small else ''}"

    def peer():
        return d.flt(q, k, v, a, b, omega, causal)

    def compiled():
        made = torch.compile(lambda *x: d.flt(*x, causal), dynamic=False)
        return lambda: made(q, k, v, a, b, omega)

    others = {}
    if (n == COMPILED or bench.o.quick) and not small:
        others = {"torch.compile": compiled, "jax.jit": lambda: by_jax(d.jax_flt(causal), q, k, v, a, b, omega)}
    goals = {"torch": (7, 3.5) if causal else (8, 4), "share": 0.78 if causal else 0.88}
    made = compare_peers(bench, "flt", what, n, plan.forward(q, k, v, out), out, {"torch": peer}, others,
                         {"sgemm": linear_flops(n)}, goals)
    del plan

    def build():
        mine, result = Plan(bench.library, "flt", n, causal, o.threads, **values), torch.empty_like(v)
        return mine.forward(q, k, v, result)
    memory(made[0], build, lambda: peer, 10)


def memory(row, ours, theirs, goal):
    mine, peer = peak_bytes(ours), peak_bytes(theirs)
    row.update(ours_bytes=mine, peer_bytes=peer, memory_ratio=peer / max(mine, 1), memory_goal=goal)


def exact_forward(bench, n, causal):
    o, (q, k, v), lags = bench.o, inputs(n), d.lags_of(n)
    out, bias = torch.empty_like(v), d.bias_of(lags, n, causal)
    plan = Plan(bench.library, "exact", n, causal, o.threads, args=[("lag_bias", lags)])
    what = f"exact with RPE, {'causal' if causal else 'bidirectional'}"

    def compiled():
        made = torch.compile(d.exact, dynamic=False)
        return lambda: made(q, k, v, bias)

    def flexible():
        made = d.flex(lags, n, causal)
        return lambda: made(q, k, v)
    peers = {"torch": lambda: d.exact(q, k, v, bias), "torch sdpa + mask": lambda: d.sdpa(q, k, v, bias)}
    others = {}
    if n == COMPILED or bench.o.quick:
        others = {"torch.compile": compiled, "flex_attention": flexible,
                  "jax.jit": lambda: by_jax(d.jax_exact(), q, k, v, bias)}
    goals = {"torch": (7, 4) if causal else (4, 2.2), "torch sdpa + mask": (1, 1), "share": 0.88 if causal else 0.9}
    work = {"sgemm": exact_flops(n, causal)}
    compare_peers(bench, "exact", what, n, plan.forward(q, k, v, out), out, peers, others, work, goals)


def exact_memory(bench, n, count):
    q, k, v = inputs(n, count)
    out, lags = torch.zeros_like(v), d.lags_of(n)

    def build():
        plan = Plan(bench.library, "exact", n, False, bench.o.threads, heads=count, args=[("lag_bias", lags)])
        return plan.forward(q, k, v, out)
    mine = peak_bytes(build)
    what = f"exact with RPE, {count} of 8 heads: beyond input and output"
    bench.plain("exact_memory", what, n, ours_bytes=mine, most_bytes=20 * 2 ** 20,
                note=f"not run in PyTorch: a mask takes {4 * n * n / 2 ** 30:.3g} GiB")


def nprf_forward(bench, n):
    (q, k, v), lags = inputs(n), d.lags_of(n)
    out = torch.empty_like(v)
    plan = Plan(bench.library, "nprf", n, False, bench.o.threads, args=[("lag_bias", lags)], m=NPRF_M)
    omega = d.heads(plan.draws()["omega"], 2).float()
    compare_peers(bench, "nprf", f"NPRF, m = {NPRF_M}", n, plan.forward(q, k, v, out), out,
                  {"torch": lambda: d.nprf(q, k, v, lags.float(), omega)}, {}, None, {"torch": (15, 8)})


# ---- streaming

def streaming(bench, tokens):
    plan = Plan(bench.library, "flt", tokens, True, 1, m=M, r=R)
    q, k, v = (x.transpose(0, 1).contiguous() for x in inputs(tokens))
    out, want = torch.empty_like(v), torch.empty_like(v)
    a, b, omega = d.snippets(plan.draws(), tokens)
    peer, ours = d.Stream(a, b, omega), plan.stream(q, k, v, out)
    ours()
    peer.run(q, k, v, want)
    made = bench.compare("streaming", f"FLT streaming, one token, {HEADS} heads", tokens, ours,
                         {"torch": lambda: peer.run(q, k, v, want)}, {"sgemm": linear_flops(tokens)}, threads=1, parts=tokens)
    made[0].update(apart=apart(out, want), goal=(30, 30), note="per token, through ctypes")


# ---- backward

def backward(bench, what, n, plan, peer, goals):
    q, k, v = inputs(n)
    out, grads = torch.empty_like(v), [torch.empty_like(x) for x in (q, k, v)]
    dout = torch.randn(v.shape, generator=torch.Generator().manual_seed(2))
    forward, back = plan.forward(q, k, v, out), plan.backward(q, k, v, out, dout, grads)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]

    def both():
        forward()
        back()

    def theirs():
        with torch.enable_grad():
            got = torch.autograd.grad(peer(*leaves), leaves, dout)
        return got
    both()
    want = theirs()
    distance = max(apart(g, w) for g, w in zip(grads, want))
    made = bench.compare("backward", what, n, both, {"torch": theirs, "own forward": forward})
    made[0].update(apart=distance, goal=goals)
    made[1].update(note="time of forward and backward by that of forward", most_times=3.0, times=1 / made[1]["ratio"])


def backward_flt(bench, n, causal):
    plan = Plan(bench.library, "flt", n, causal, bench.o.threads, m=M, r=R, backward=True)
    a, b, omega = d.snippets(plan.draws(), n)
    what = f"FLT {'causal ' if causal else ''}forward + backward"
    backward(bench, what, n, plan, lambda q, k, v: d.flt(q, k, v, a, b, omega, causal), (5, 3))


def backward_exact(bench, n, causal):
    lags = d.lags_of(n)
    bias = d.bias_of(lags, n, causal)
    plan = Plan(bench.library, "exact", n, causal, bench.o.threads, args=[("lag_bias", lags)], backward=True)
    what = f"exact {'causal ' if causal else ''}forward + backward"
    backward(bench, what, n, plan, lambda q, k, v: d.exact(q, k, v, bias), (5, 3))


# ---- ours against ours

def two_threads(bench, what, n, mechanism, **values):
    (q, k, v), args = inputs(n), [("lag_bias", d.lags_of(n))] if mechanism == "exact" else []
    out = torch.empty_like(v)
    one, two = (Plan(bench.library, mechanism, n, False, t, args=args, **values) for t in (1, 2))
    made = bench.compare("threads", f"two threads over one, heads of {what}", n, two.forward(q, k, v, out),
                         {"own, one thread": one.forward(q, k, v, out)})
    made[0]["goal"] = (1.85, 1.85)


def crossover(bench, causal, grid):
    """The number of tokens from which our FLT is faster than our exact attention, between the sizes of the grid."""
    points = []
    for n in grid:
        (q, k, v), lags = inputs(n), d.lags_of(n)
        out = torch.empty_like(v)
        exact = Plan(bench.library, "exact", n, causal, bench.o.threads, args=[("lag_bias", lags)])
        linear = Plan(bench.library, "flt", n, causal, bench.o.threads, m=M, r=R)
        made = bench.compare("crossover_point", f"FLT by exact, {'causal' if causal else 'bidirectional'}", n,
                             linear.forward(q, k, v, out), {"own exact": exact.forward(q, k, v, out)})
        points.append((n, made[0]["ratio"]))
    at = grid[0] if points[0][1] >= 1 else None
    for (n0, r0), (n1, r1) in zip(points, points[1:]):
        if at is None and r1 >= 1:
            at = n0 + (n1 - n0) * (1 - r0) / (r1 - r0)
    bench.plain("crossover", f"FLT overtakes exact, {'causal' if causal else 'bidirectional'}", round(at) if at else None,
                most_n=1500 if causal else 600, note="" if at else f"not up to {grid[-1]}")


# ---- numbers below the normal ones

def slow_numbers(bench, what, n, mechanism, usual, hard, scale=1.0, **values):
    """Time with inputs that make denormal numbers by that with ordinary ones."""
    q, k, v = inputs(n)
    out = torch.empty_like(v)

    def side(args, factor):
        plan = Plan(bench.library, mechanism, n, False, bench.o.threads, args=args, **values)
        return plan.forward(q * factor, k * factor, v, out), plan
    ordinary, first = side(usual, 1.0)
    denormal, second = side(hard, scale)
    made = bench.compare("denormals", what, n, denormal, {"own, ordinary": ordinary})
    made[0].update(times=1 / made[0]["ratio"], most_times=1.05, note="time by that with ordinary numbers")
    del first, second


def masked(n, reach):
    lags = d.lags_of(n)
    lags[:n - 1 - reach] = lags[n + reach:] = d.FAR
    return lags
