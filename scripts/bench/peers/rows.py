# SPDX-License-Identifier: MIT
"""The rows by name: what each measures, at which sizes; the quick ones leave the large sizes out."""
import torch

from . import attention, learned, optimizers
from .attention import M, R


def pick(bench, quick, full, huge=()):
    return quick if bench.o.quick else full + (list(huge) if bench.o.huge else [])


def flt(bench):
    for n in pick(bench, [2048], [2048, 4096, 8192, 16384, 32768], [65536]):
        attention.flt_forward(bench, n, False)
    attention.flt_forward(bench, pick(bench, [2048], [16384])[0], False, small=True)


def flt_causal(bench):
    for n in pick(bench, [2048], [2048, 4096, 8192, 16384, 32768], [65536]):
        attention.flt_forward(bench, n, True)
    attention.flt_forward(bench, pick(bench, [2048], [16384])[0], True, small=True)


def streaming(bench):
    attention.streaming(bench, 64 if bench.o.quick else 256)


def exact(bench):
    for n in pick(bench, [1024], [1024, 2048, 4096, 8192]):
        attention.exact_forward(bench, n, False)


def exact_causal(bench):
    for n in pick(bench, [1024], [1024, 2048, 4096, 8192]):
        attention.exact_forward(bench, n, True)


def exact_memory(bench):
    attention.exact_memory(bench, 8192 if bench.o.quick else 65536, 8 if bench.o.huge else 1)


def nprf(bench):
    for n in pick(bench, [512], [512, 1024, 2048, 4096, 8192, 16384]):
        attention.nprf_forward(bench, n)


def backward(bench):
    for n in pick(bench, [1024], [1024, 4096]):
        for causal in (False, True):
            attention.backward_flt(bench, n, causal)
            attention.backward_exact(bench, n, causal)


def digits(bench):
    optimizers.digits(bench, 32, (100, 10))
    optimizers.digits(bench, 128, (35, 5))


def adam(bench):
    for total in pick(bench, [1000, 100000], [1000, 10000, 100000]):
        optimizers.adam(bench, total, (14, 14))
    optimizers.adam(bench, 10000000, (4, 4), 0.95)


def learned_steps(bench):
    for shape in pick(bench, [[100, 100]], [[100, 100], [250, 400], [1000, 1000]]):
        optimizers.learned_step(bench, "small_fc_lopt", learned.SmallFc, optimizers.small_fc_work, shape)
        optimizers.learned_step(bench, "flt", learned.Flt, optimizers.flt_work, shape)


def threads(bench):
    attention.two_threads(bench, "FLT", 2048 if bench.o.quick else 4096, "flt", m=M, r=R)
    attention.two_threads(bench, "exact", 1024 if bench.o.quick else 4096, "exact")
    optimizers.two_threads(bench)


def crossover(bench):
    attention.crossover(bench, False, [256, 384, 512, 600, 768, 1024])
    attention.crossover(bench, True, [512, 768, 1024, 1280, 1500, 2048, 3072])


def denormals(bench):
    n = 1024 if bench.o.quick else 2048
    for name, shape in (("adam", [1000, 100]), ("small_fc_lopt", [100, 100]), ("flt", [100, 100])):
        optimizers.slow_numbers(bench, name, shape)
    plain, masked = [("lag_bias", attention.d.lags_of(n))], [("lag_bias", attention.masked(n, 64))]
    attention.slow_numbers(bench, "exact, masks of -1e4", n, "exact", plain, masked)
    attention.slow_numbers(bench, "FLT, features that underflow", n, "flt", [], [], scale=4.0, m=M, r=R)
    attention.slow_numbers(bench, "NPRF, lags of -1e4", n, "nprf", plain, masked, m=32)


ROWS = {"flt": (flt, 0), "flt-causal": (flt_causal, 0), "streaming": (streaming, 1), "exact": (exact, 0),
        "exact-causal": (exact_causal, 0), "exact-memory": (exact_memory, 0), "nprf": (nprf, 0), "backward": (backward, 0),
        "digits": (digits, 1), "adam": (adam, 1), "learned": (learned_steps, 1), "threads": (threads, 0),
        "crossover": (crossover, 0), "denormals": (denormals, 0)}


def run(bench, names):
    for name in names:
        row, threads = ROWS[name]
        torch.set_num_threads(threads or bench.o.threads)
        yield name
        with torch.no_grad():
            row(bench)
