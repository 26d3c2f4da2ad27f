#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes flt_tensor_weights.safetensors and flt_tensor_want.safetensors: a trajectory of flt_tensor by float64 numpy, written from
the formulas in optimizers/flt_tensor.c, from the parameters and gradients in flt_replay.safetensors (see make_golden.py).

usage: make_tensor.py MODULE.py FOLDER

MODULE.py defines PerParameterFeatures(shape, kind) with update(p, g) -> [*shape, 30]. want.NAME [T / 10, ..] is NAME after steps
10, 20, .., T; the chunks have 16 coordinates, so that most tensors have several.
"""
import os
import sys

import numpy as np

from make_golden import SHAPES, T, load_module, save
from make_learned import EVERY, layers, load, pairs

CHUNK, DK, DV, M, R, LR, T_REF = 16, 3, 5, 6, 2, .01, 40.
LEVELS = {'space': (30, 2), 'chunks': (DV, 2), 'time': (DV, 1)}


def draw_weights(rng):
    w = {}
    for name, (inputs, axes) in LEVELS.items():
        shapes = {'wq': (inputs, DK), 'wk': (inputs, DK), 'wv': (inputs, DV), 'xi': (R, axes), 'rho': (R,), 'omega': (M, DK + 2 * R)}
        for part, shape in shapes.items():
            scale = 1.2 / np.sqrt(inputs) if part[0] == 'w' else 1.
            w[f'{name}.{part}'] = (scale * rng.standard_normal(shape)).astype(np.float32)
    w['tau'] = np.array([.05], np.float32)
    w['rate'] = rng.standard_normal(DV).astype(np.float32)
    return {**w, **layers(rng, 'layers', [(30 + 2 * DV, 7), (7, 7), (7, 2)])}


def log_features(w, level, x, position):
    """x [n, inputs], position [n, axes] -> lq, lk [n, M], u [n, DV]"""
    of = lambda part: w[f'{level}.{part}'].astype(float)
    phase = 2 * np.pi * position @ of('xi').T
    snippet = np.concatenate([np.cos(phase), np.sin(phase)], 1) / np.sqrt(R)
    q = np.hstack([x @ of('wq') / DK ** .25, snippet * np.tile(of('rho'), 2)])
    k = np.hstack([x @ of('wk') / DK ** .25, snippet])
    log = lambda y: y @ of('omega').T - .5 * (y ** 2).sum(1, keepdims=True)
    return log(q), log(k), x @ of('wv')


def pool(w, level, x, position):
    lq, lk, u = log_features(w, level, x, position)
    weight = np.exp(lq) @ np.exp(lk).T
    return (weight @ u / weight.sum(1, keepdims=True)).mean(0)


def mlp(x, net):
    for i, (a, b) in enumerate(net):
        x = x @ a + b
        x = np.maximum(x, 0) if i + 1 < len(net) else x
    return x


def step(w, p, x, t, past):
    n, rows = p.size, p.shape[0] if p.ndim >= 2 else 1
    cols = n // rows
    place = lambda e: np.stack([e // cols / rows, e % cols / cols], 1)
    e = np.arange(n)
    chunks = [e[i:i + CHUNK] for i in range(0, n, CHUNK)]
    y = np.array([pool(w, 'space', x[c], place(c)) for c in chunks])
    middle = pool(w, 'chunks', y, place(np.array([c[0] + len(c) // 2 for c in chunks])))
    s = np.array([[np.log1p(t) / np.log1p(T_REF)]])
    past.append(log_features(w, 'time', middle[None], s))
    lq = past[-1][0]
    weight = np.array([np.exp(lq + lk).sum() * np.exp(-w['tau'][0] * (t - i)) for i, (_, lk, _) in enumerate(past)])
    o = (weight[:, None] * np.array([u[0] for _, _, u in past])).sum(0) / weight.sum()
    d = mlp(np.hstack([x, np.tile(middle, (n, 1)), np.tile(o, (n, 1))]), pairs(w, 'layers'))
    gain = np.exp(.1 * np.clip(d[:, 1], -10, 10)).mean() * np.exp(np.clip(o @ w['rate'].astype(float), -5, 5))
    return p - (LR * gain * d[:, 0] / np.sqrt(1e-9 + (d[:, 0] ** 2).mean())).reshape(p.shape)


def main(module, folder):
    rng, m, want = np.random.default_rng(11), load_module(module), {}
    replay = load(os.path.join(folder, 'flt_replay.safetensors'))
    w = draw_weights(rng)
    save(os.path.join(folder, 'flt_tensor_weights.safetensors'), w,
         {'optimizer': 'flt_tensor', 'chunk': str(CHUNK), 'lr': str(LR), 't_ref': str(T_REF)})
    for name, shape in SHAPES.items():
        p, past, rows = np.atleast_1d(replay[f'param.{name}'].astype(float)), [], []
        features = m.PerParameterFeatures(p.shape, 'celo2')
        for t in range(T):
            g = np.atleast_1d(replay[f'grad.{name}'][t].astype(float))
            p = step(w, p, features.update(p, g).reshape(p.size, -1), t, past)
            if (t + 1) % EVERY == 0:
                rows.append(p.reshape(shape))
        want[f'want.flt_tensor.{name}'] = np.array(rows)
    save(os.path.join(folder, 'flt_tensor_want.safetensors'), want, {'steps': str(T), 'every': str(EVERY)})


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
