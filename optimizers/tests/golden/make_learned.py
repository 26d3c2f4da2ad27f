#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes KIND_weights.safetensors of mlp_lopt, small_fc_lopt, celo2 and lstm, and learned_want.safetensors: their trajectories, by
an independent float64 implementation, from the parameters and gradients in flt_replay.safetensors (see make_golden.py).

usage: make_learned.py MODULE.py FOLDER

MODULE.py defines MlpLopt(layers), SmallFcLopt(layers, step_mult), Celo2(layers, lr), LstmLopt(cells, head), each with
init(tensors) and step(tensors, grads, state) -> tensors, state. want.KIND.NAME [T / 10, ..] is NAME after steps 10, 20, .., T.
"""
import json
import os
import struct
import sys

import numpy as np

from make_golden import SHAPES, T, load_module, save

EVERY = 10


def load(path):
    with open(path, 'rb') as f:
        size, = struct.unpack('<Q', f.read(8))
        header, blob = json.loads(f.read(size)), f.read()
    header.pop('__metadata__', None)
    kinds = {'F32': np.float32, 'F64': np.float64}
    read = lambda h: np.frombuffer(blob[slice(*h['data_offsets'])], kinds[h['dtype']]).reshape(h['shape'])
    return {name: read(h) for name, h in header.items()}


def layers(rng, prefix, widths):
    w = {}
    for i, (a, b) in enumerate(widths):
        w[f'{prefix}.{i}.w'] = (a ** -.5 * rng.standard_normal((a, b))).astype(np.float32)
        w[f'{prefix}.{i}.b'] = (.1 * rng.standard_normal(b)).astype(np.float32)
    return w


def pairs(w, prefix):
    n = sum(name.startswith(prefix) for name in w) // 2
    return [(w[f'{prefix}.{i}.w'].astype(float), w[f'{prefix}.{i}.b'].astype(float)) for i in range(n)]


def trajectory(opt, replay):
    tensors = [np.atleast_1d(replay[f'param.{name}'].astype(float)) for name in SHAPES]
    state, want = opt.init(tensors), {name: [] for name in SHAPES}
    for t in range(T):
        tensors, state = opt.step(tensors, [np.atleast_1d(replay[f'grad.{name}'][t].astype(float)) for name in SHAPES], state)
        for name, x in zip(SHAPES, tensors):
            if (t + 1) % EVERY == 0:
                want[name].append(x.reshape(SHAPES[name]))
    return want


def main(module, folder):
    rng, m, want = np.random.default_rng(20240612), load_module(module), {}
    replay = load(os.path.join(folder, 'flt_replay.safetensors'))
    weights = {'mlp_lopt': layers(rng, 'layers', [(19, 16), (16, 16), (16, 2)]),
               'small_fc_lopt': layers(rng, 'layers', [(39, 8), (8, 8), (8, 2)]),
               'celo2': layers(rng, 'layers', [(30, 8), (8, 8), (8, 3)]),
               'lstm': layers(rng, 'cells', [(22, 80), (40, 80)])}
    weights['lstm']['head.w'] = rng.standard_normal((20, 1)).astype(np.float32)
    weights['lstm']['head.b'] = rng.standard_normal(1).astype(np.float32)
    of = lambda name, prefix='layers': pairs(weights[name], prefix)
    head = tuple(weights['lstm'][f'head.{x}'].astype(float) for x in 'wb')
    kinds = {'mlp_lopt': (m.MlpLopt(of('mlp_lopt')), {}),
             'small_fc_lopt': (m.SmallFcLopt(of('small_fc_lopt'), .01), {'step_mult': '0.01'}),
             'celo2': (m.Celo2(of('celo2'), .01), {'lr': '0.01'}),
             'lstm': (m.LstmLopt(of('lstm', 'cells'), head), {})}
    for kind, (opt, options) in kinds.items():
        save(os.path.join(folder, f'{kind}_weights.safetensors'), weights[kind], {'optimizer': kind, **options})
        want.update({f'want.{kind}.{name}': np.array(x) for name, x in trajectory(opt, replay).items()})
    save(os.path.join(folder, 'learned_want.safetensors'), want, {'steps': str(T), 'every': str(EVERY)})


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
