#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes matrix.safetensors: trajectories of shampoo and soap by float64 numpy, written from their definitions with numpy's own
eigenvectors and QR.

usage: make_matrix.py FOLDER

param.NAME, grad.NAME [T, ..]; want.KIND.CASE.NAME [T / 8, ..] is NAME after steps 8, 16, .., T. soap's bases are unique only
where the first gradient has full rank on the preconditioned side: non-square matrices are replayed with max_dim = their shorter
side alone.
"""
import os
import sys

import numpy as np

from make_golden import save

T, EVERY = 24, 8
SQUARE = {'square': (6, 6), 'vector': (5,), 'scalar': ()}
MIXED = {**SQUARE, 'tall': (7, 3), 'wide': (3, 8), 'conv': (3, 2, 2)}
SIDE = {name: MIXED[name] for name in ('vector', 'wide', 'conv')}


def as_matrix(x):
    return x.reshape(x.shape[0], -1)


class Shampoo:
    def __init__(self, lr, beta1=.9, beta2=.999, eps=1e-8, ridge=1e-6, wd=0., every=10, max_dim=1024):
        self.__dict__.update(lr=lr, beta1=beta1, beta2=beta2, eps=eps, ridge=ridge, wd=wd, every=every, max_dim=max_dim)

    def root(self, s, power):
        w, v = np.linalg.eigh(s)
        w = np.maximum(w, 0) + self.ridge * w.max()
        return (v * w ** power) @ v.T

    def step(self, p, g, s):
        n = s['t'] = s.get('t', 0) + 1
        s['m'] = self.beta1 * s.get('m', 0) + (1 - self.beta1) * g
        s['v'] = self.beta2 * s.get('v', 0) + (1 - self.beta2) * g * g
        m = s['m'] / (1 - self.beta1 ** n)
        u = adam = m / (np.sqrt(s['v'] / (1 - self.beta2 ** n)) + self.eps)
        if g.ndim >= 2:
            gm, sides = as_matrix(g), [i for i in (0, 1) if as_matrix(g).shape[i] <= self.max_dim]
            u = as_matrix(m)
            for i in sides:
                x = gm if i == 0 else gm.T
                s['S', i] = self.beta2 * s.get(('S', i), 0) + (1 - self.beta2) * x @ x.T
                if (n - 1) % self.every == 0:
                    s['B', i] = self.root(s['S', i] / (1 - self.beta2 ** n), -.25 if len(sides) == 2 else -.5)
                u = s['B', i] @ u if i == 0 else u @ s['B', i]
            u = (u * np.linalg.norm(adam) / np.linalg.norm(u)).reshape(g.shape)
        return p - self.lr * self.wd * p - self.lr * u


class Soap:
    def __init__(self, lr, beta1=.95, beta2=.95, eps=1e-8, wd=.01, every=10, max_dim=1024):
        self.__dict__.update(lr=lr, beta1=beta1, beta2=beta2, eps=eps, wd=wd, every=every, max_dim=max_dim)

    def turn(self, x, s, back=False):
        if x.ndim < 2:
            return x
        y = as_matrix(x)
        for i in (0, 1):
            if ('Q', i) in s:
                q = s['Q', i] if back else s['Q', i].T
                y = q @ y if i == 0 else y @ q.T
        return y.reshape(x.shape)

    def sides(self, g, s):
        if g.ndim < 2:
            return
        gm, first = as_matrix(g), s['t'] == 0
        s['m'] = self.turn(s['m'], s, True)
        for i in (0, 1):
            if gm.shape[i] > self.max_dim:
                continue
            x = gm if i == 0 else gm.T
            s['S', i] = self.beta2 * s.get(('S', i), 0) + (1 - self.beta2) * x @ x.T
            if first:
                s['Q', i] = np.linalg.eigh(s['S', i])[1][:, ::-1]
            elif s['t'] % self.every == 0:
                q = s['Q', i]
                order = np.argsort(-np.diag(q.T @ s['S', i] @ q), kind='stable')
                s['v'] = np.take(as_matrix(s['v']), order, axis=i).reshape(g.shape)
                s['Q', i] = np.linalg.qr(s['S', i] @ q[:, order])[0]
        s['m'] = self.turn(s['m'], s)

    def step(self, p, g, s):
        if 't' not in s:
            s.update(t=0, m=np.zeros_like(g), v=np.zeros_like(g))
        else:
            s['t'] += 1
            x = self.turn(g, s)
            s['m'] = self.beta1 * s['m'] + (1 - self.beta1) * x
            s['v'] = self.beta2 * s['v'] + (1 - self.beta2) * x * x
            rate = self.lr * np.sqrt(1 - self.beta2 ** s['t']) / (1 - self.beta1 ** s['t'])
            p = p - rate * self.turn(s['m'] / (np.sqrt(s['v']) + self.eps), s, True)
            p = p - self.lr * self.wd * p
        self.sides(g, s)
        return p


CASES = {
    ('shampoo', 'usual', ''): (Shampoo(.001), MIXED),
    ('shampoo', 'often', 'lr=0.02,beta1=0.5,beta2=0.9,eps=0.001,matrix_eps=0.01,weight_decay=0.1,frequency=3'):
        (Shampoo(.02, .5, .9, 1e-3, .01, .1, 3), MIXED),
    ('shampoo', 'short', 'lr=0.02,matrix_eps=0.1,frequency=1,max_dim=4'): (Shampoo(.02, ridge=.1, every=1, max_dim=4), MIXED),
    ('soap', 'usual', ''): (Soap(.003), SQUARE),
    ('soap', 'often', 'lr=0.02,beta1=0.5,beta2=0.9,eps=0.001,weight_decay=0.1,frequency=3'):
        (Soap(.02, .5, .9, 1e-3, .1, 3), SQUARE),
    ('soap', 'short', 'lr=0.02,frequency=2,max_dim=3'): (Soap(.02, every=2, max_dim=3), SIDE),
}


def main(folder):
    rng, out = np.random.default_rng(7), {}
    for name, shape in MIXED.items():
        out[f'param.{name}'] = rng.standard_normal(shape)
        out[f'grad.{name}'] = rng.standard_normal((T, *shape)) * 10. ** rng.uniform(-2, 0)
    out = {k: x.astype(np.float32) for k, x in out.items()}
    meta = {}
    for (kind, case, options), (opt, shapes) in CASES.items():
        meta[f'{kind}.{case}'] = options
        for name in shapes:
            p, s, rows = out[f'param.{name}'].astype(float), {}, []
            for t in range(T):
                p = opt.step(p, out[f'grad.{name}'][t].astype(float), s)
                if (t + 1) % EVERY == 0:
                    rows.append(p)
            out[f'want.{kind}.{case}.{name}'] = np.array(rows)
    save(os.path.join(folder, 'matrix.safetensors'), out, {'steps': str(T), 'every': str(EVERY), **meta})


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
