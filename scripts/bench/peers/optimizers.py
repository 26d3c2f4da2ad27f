# SPDX-License-Identifier: MIT
"""Rows of optimizers and of the digits network, by one thread."""
import ctypes as c
import json
import os
import statistics
import struct
import subprocess
import tempfile

import torch

from . import learned
from .bench import apart
from .library import Batch, Objective, Optimizer, pointer

ADAM_TENSORS, TASKS = 20, 64


# ---- Adam

def adam(bench, total, goal, share_goal=None):
    size = total // ADAM_TENSORS
    own = Optimizer(bench.library, "adam", [(f"w{i}", [size]) for i in range(ADAM_TENSORS)])
    torch.manual_seed(0)
    start, grad = 1e-3 * torch.randn(size * ADAM_TENSORS), torch.randn(size * ADAM_TENSORS)
    param = start.clone()
    ours = own.stepper(param, grad)

    def peer(**options):
        theirs = [torch.nn.Parameter(x.clone()) for x in start.split(size)]
        for p, g in zip(theirs, grad.split(size)):
            p.grad = g.clone()
        return theirs, torch.optim.Adam(theirs, lr=1e-3, **options).step
    made = {"torch": peer(), "torch foreach": peer(foreach=True), "torch fused": peer(fused=True)}
    for _ in range(3):
        ours()
    distance = {}
    for name, (theirs, step) in made.items():
        with torch.enable_grad():
            for _ in range(3):
                step()
        distance[name] = apart(param - start, torch.cat([p.detach() for p in theirs]) - start)
    rows = bench.compare("adam", f"Adam, {ADAM_TENSORS} tensors", total, ours, {n: step for n, (_, step) in made.items()},
                         {"stream": 28.0 * total} if share_goal else None, threads=1)
    for r in rows:
        r.update(apart=distance[r["peer"]], goal=goal)
    rows[0]["share_goal"] = share_goal


# ---- learned

def small_fc_work(n, hidden=32):
    return {"sgemm": 2.0 * n * (28 * hidden + hidden * hidden + 2 * hidden), "stream": 4.0 * n * (2 * 4 + 2 * 3)}


def flt_work(n):
    """Products of 18 features that differ by coordinate with q, k, u and the first layer, features, state, network; the state's
    45 words read and written."""
    return {"sgemm": 2.0 * n * (18 * 20 + 2 * 4 * 8 + 3 * 8 * 5 + 4 * 8 + 8 * 8 + 8 * 2), "stream": 4.0 * n * (2 * 45 + 2 * 3)}


def learned_step(bench, name, make, work, shape):
    own = Optimizer(bench.library, name, [("w", shape)])
    torch.manual_seed(0)
    start, grad = 1e-2 * torch.randn(shape), 0.1 * torch.randn(shape)
    param, peer_param = start.clone(), start.clone()
    ours, peer = own.stepper(param, grad), make(own.theta, shape)
    for _ in range(3):
        ours()
        peer.step(peer_param, grad)
    distance = apart(param - start, peer_param - start)
    total = shape[0] * shape[1]
    made = bench.compare("learned", f"{name} step", total, ours, {"torch": lambda: peer.step(peer_param, grad)}, work(total),
                         threads=1)
    made[0].update(apart=distance, goal=(14, 14), share_goal=0.7, note=f"{1e3 * made[0]['ours_us'] / total:.1f} ns a parameter")


# ---- the digits network

class Digits:
    def __init__(self, bench, spec):
        self.bench, self.objective = bench, c.POINTER(Objective)()
        bench.library.call("flt_task_create", spec.encode(), c.byref(self.objective))
        self.task = self.objective.contents
        self.layout = self.task.layout.tensors()
        self.theta, self.grad = torch.zeros(self.task.layout.total), torch.zeros(self.task.layout.total)
        self.task.init(self.task.self, 0, self.theta.data_ptr())
        self.batch, self.call = Batch(0, 0, 0), self.task.gradient
        self.arguments = self.task.self, self.batch, self.theta.data_ptr(), self.grad.data_ptr()

    def __del__(self):
        self.bench.lib.flt_objective_destroy(self.objective)

    def gradient(self, step):
        self.batch.step = step
        return self.call(*self.arguments)

    def tensors(self, flat):
        return [flat[at:at + count].reshape(shape) for shape, at, count in self.layout.values()]


def forward(x, w1, b1, w2, b2):
    return torch.relu(x @ w1 + b1) @ w2 + b2


def write_idx(folder, image, label, count=20):
    """A folder of digits that are all the same: every minibatch of it is known."""
    for prefix in ("train", "t10k"):
        with open(f"{folder}/{prefix}-images-idx3-ubyte", "wb") as f:
            f.write(struct.pack(">IIII", 2051, count, 8, 8) + bytes(image) * count)
        with open(f"{folder}/{prefix}-labels-idx1-ubyte", "wb") as f:
            f.write(struct.pack(">II", 2049, count) + bytes([label]) * count)


def stacked(tensors, tasks=TASKS):
    """One copy for each task, biases as rows."""
    return [x.detach().expand(tasks, *x.shape).reshape(tasks, -1, x.shape[-1]).clone() for x in tensors]


def digits_distances(bench, batch):
    """Of the gradient from autograd's, on a minibatch that both know: one network, and the last of a batch of them."""
    image = torch.randint(0, 256, (64,), generator=torch.Generator().manual_seed(3))
    with tempfile.TemporaryDirectory() as folder:
        write_idx(folder, image.tolist(), 7)
        known = Digits(bench, f"digits_mlp:batch={batch},augment=false,data={folder}")
        known.gradient(0)
    own, x = known.tensors(known.theta), (image / 255.0).expand(batch, -1)
    found = []
    for leaves, tasks in ((own, 1), (stacked(own), TASKS)):
        leaves = [leaf.clone().requires_grad_() for leaf in leaves]
        with torch.enable_grad():
            logits = forward(x if tasks == 1 else x.expand(tasks, -1, -1), *leaves).flatten(0, -2)
            loss = torch.nn.functional.cross_entropy(logits, torch.full((tasks * batch,), 7), reduction="sum") / batch
            grads = torch.autograd.grad(loss, leaves)
        found.append(apart(known.grad, torch.cat([(g if tasks == 1 else g[-1]).reshape(-1) for g in grads])))
    return found


def digits(bench, batch, goals):
    own = Digits(bench, f"digits_mlp:batch={batch},augment=false")
    rule = Optimizer(bench.library, "adam", [(name, shape) for name, (shape, _, _) in own.layout.items()])
    step = rule.stepper(own.theta, own.grad)

    def ours():
        own.gradient(rule.t)
        step()

    def peer(leaves, x, y, **options):
        adam = torch.optim.Adam(leaves, lr=1e-3, **options)

        def run():
            adam.zero_grad()
            with torch.enable_grad():
                logits = forward(x, *leaves)
                loss = torch.nn.functional.cross_entropy(logits.reshape(-1, 10), y.reshape(-1), reduction="sum") / batch
                loss.backward()
            adam.step()
        return run
    leaves = [torch.nn.Parameter(x.clone()) for x in own.tensors(own.theta)]
    many = [torch.nn.Parameter(x) for x in stacked(leaves)]
    x, y = torch.rand(batch, 64), torch.randint(0, 10, (batch,))
    one, fused = peer(leaves, x, y), peer([torch.nn.Parameter(x.detach().clone()) for x in leaves], x, y, fused=True)
    bmm = peer(many, torch.rand(TASKS, batch, 64), torch.randint(0, 10, (TASKS, batch)), fused=True)
    distance, last = digits_distances(bench, batch)
    made = bench.compare("digits", f"digits network, batch {batch}, step", own.task.layout.total, ours,
                         {"torch autograd": one, "torch autograd, fused Adam": fused}, threads=1)
    made += bench.compare("digits", f"digits network, batch {batch}, {TASKS} steps", own.task.layout.total,
                          lambda: [ours() for _ in range(TASKS)], {f"torch, {TASKS} networks by bmm": bmm}, threads=1,
                          parts=TASKS)
    for r, goal, far in zip(made, (goals[0], None, goals[1]), (distance, distance, last)):
        r.update(apart=far, goal=goal and (goal, goal), note=f"{1e6 / r['ours_us']:.0f} steps a second")


# ---- two threads, and numbers below the normal ones

def two_threads(bench):
    """flt bench train runs the same meta-training by one thread and by two; medians of a few runs of it."""
    program = os.path.join(os.path.dirname(bench.library.path), "cli", "flt")
    if not os.path.exists(program):
        bench.plain("threads", "two threads over one, tasks", None, note=f"no program at {program}")
        return
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(min(5, bench.o.reps)):
            done = subprocess.run([program, "bench", "train", "flt", "--threads", "2", "--reps", "5", "--json", "--quiet",
                                   "--db", f"{folder}/x.db"], capture_output=True, text=True, check=True)
            rate = {int(row["threads"]): float(row["steps_per_s"]) for row in json.loads(done.stdout)}
            ratios.append(rate[2] / rate[1])
    bench.plain("threads", "two threads over one, tasks (meta-training)", 8, ratio=statistics.median(ratios), goal=(1.85, 1.85),
                rounds=len(ratios), threads=2, peer_name="own, one thread")


def slow_numbers(bench, name, shape, steps=3):
    """A step on a state whose numbers have decayed below the normal ones, by one on an ordinary state."""
    torch.manual_seed(0)
    made = {}
    for case, factor in (("ordinary", 1.0), ("denormal", 1e-39)):
        own = Optimizer(bench.library, name, [("w", shape)])
        param, grad = torch.randn(shape), torch.randn(shape)
        run = own.stepper(param, grad)
        for _ in range(steps):
            run()
        grad.zero_()
        made[case] = own, run, own.state * factor, param, grad

    def before(side):
        own, _, state, _, _ = made["denormal" if side == "flt" else "ordinary"]
        own.state.copy_(state)
    rows = bench.compare("denormals", f"{name}, moments decayed to denormals", shape[0] * shape[1], made["denormal"][1],
                         {"own, ordinary": made["ordinary"][1]}, threads=1, before=before)
    rows[0].update(times=1 / rows[0]["ratio"], most_times=1.05, note="time by that with ordinary numbers")
