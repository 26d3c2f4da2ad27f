#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes flt_weights.safetensors and flt_replay.safetensors: a trajectory of an independent float64 implementation.

usage: make_golden.py MODULE.py FOLDER

MODULE.py defines FltOptimizer(wq, wk, wv, xi, rho, omega, tau, layers, lr, t_ref) with init(tensors) and
step(tensors, grads, state) -> tensors, state. Weights, starting points and gradients are representable in single precision,
so that float and double builds compute the same problem. flt_replay holds param.NAME, grad.NAME [T, ..] and want.NAME
[T / 5, ..], the parameters after steps 5, 10, .., T.
"""
import importlib.util
import json
import os
import struct
import sys

import numpy as np

T, EVERY = 50, 5
SHAPES = {'scalar': (), 'vector': (7,), 'wide': (4, 9), 'tall': (9, 4), 'conv': (3, 3, 2, 5), 'lines': (5, 19)}
SCALES = {'scalar': 1.0, 'vector': 1e-2, 'wide': 1e-3, 'tall': 3.0, 'conv': 1e-1, 'lines': 1e-2}


def save(path, tensors, metadata):
    header, blob = {'__metadata__': metadata}, b''
    for name, x in tensors.items():
        data = np.ascontiguousarray(x).tobytes()
        header[name] = {'dtype': {'float32': 'F32', 'float64': 'F64'}[x.dtype.name], 'shape': list(x.shape),
                        'data_offsets': [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text + blob)


def load_module(path):
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location('golden_source', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_weights(rng):
    heads, m, r, dk, dv, hidden = 2, 8, 4, 4, 4, 8
    draw = lambda scale, *shape: (scale * rng.standard_normal(shape)).astype(np.float32)
    w = {'wq': draw(.2, heads, 30, dk), 'wk': draw(.2, heads, 30, dk), 'wv': draw(.2, heads, 30, dv), 'xi': draw(1, heads, r, 1),
         'rho': draw(1, heads, r), 'omega': draw(1, heads, m, dk + 2 * r), 'tau': np.array([0, .05], np.float32)}
    widths = [30 + heads * dv, hidden, hidden, 2]
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        w[f'layers.{i}.w'], w[f'layers.{i}.b'] = draw(a ** -.5, a, b), draw(.1, b)
    return w


def make_gradients(rng, name):
    """A drift, noise of slowly changing size, and an element whose gradient is always zero."""
    shape, t = SHAPES[name], np.arange(T).reshape(T, *[1] * len(SHAPES[name]))
    g = SCALES[name] * (.3 * rng.standard_normal(shape) + rng.standard_normal((T, *shape)) * (1 + .8 * np.sin(t / 7)))
    if shape:
        g.reshape(T, -1)[:, -1] = 0
    return g.astype(np.float32)


def main(module, folder):
    rng = np.random.default_rng(20240611)
    weights = make_weights(rng)
    params = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    grads = {name: make_gradients(rng, name) for name in SHAPES}
    wide = {name: x.astype(float) for name, x in weights.items()}
    layers = [(wide[f'layers.{i}.w'], wide[f'layers.{i}.b']) for i in range(3)]
    named = {name: wide[name] for name in ('wq', 'wk', 'wv', 'xi', 'rho', 'omega', 'tau')}
    opt = load_module(module).FltOptimizer(**named, layers=layers, lr=.01, t_ref=100.)
    tensors = [np.atleast_1d(x.astype(float)) for x in params.values()]
    state, want = opt.init(tensors), {name: [] for name in SHAPES}
    for t in range(T):
        tensors, state = opt.step(tensors, [np.atleast_1d(grads[name][t].astype(float)) for name in SHAPES], state)
        for name, x in zip(SHAPES, tensors):
            if (t + 1) % EVERY == 0:
                want[name].append(x.reshape(SHAPES[name]))
    save(os.path.join(folder, 'flt_weights.safetensors'), weights, {'optimizer': 'flt', 'lr': '0.01', 't_ref': '100'})
    replay = {f'param.{name}': params[name] for name in SHAPES}
    replay.update({f'grad.{name}': grads[name] for name in SHAPES})
    replay.update({f'want.{name}': np.array(want[name]) for name in SHAPES})
    replay = dict(sorted(replay.items(), key=lambda item: -item[1].dtype.itemsize))  # F64 first: each starts at a multiple of 8
    save(os.path.join(folder, 'flt_replay.safetensors'), replay, {'steps': str(T), 'every': str(EVERY)})


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
