# SPDX-License-Identifier: MIT
"""Learned optimizers in PyTorch, by the definitions at the head of small_fc_lopt.c and flt.c: one matrix, float."""
import math

import torch

TIMES = torch.tensor([1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000], dtype=torch.float64)
DECAYS = torch.tensor([0.9, 0.99, 0.999])
LEAST = -80.0  # exponents of the flt optimizer end there


def network(x, theta):
    count = sum(name.startswith("layers.") for name in theta) // 2
    for i in range(count):
        x = torch.addmm(theta[f"layers.{i}.b"], x, theta[f"layers.{i}.w"])
        x = torch.relu(x) if i + 1 < count else x
    return x


def safe_rsqrt(x):
    return torch.rsqrt(x.clamp_min(1e-9))


class Features:
    """28 features of the small network, or 30 of Celo2, of a matrix [rows, cols], rows <= cols."""

    def __init__(self, shape, celo2):
        rows, cols = shape
        self.celo2, self.m, self.v = celo2, torch.zeros(3, rows, cols), torch.zeros(rows, cols)
        self.row, self.col = torch.zeros(3, rows), torch.zeros(3, cols)
        self.keep_v, self.eps_v, self.eps = (0.95, 1e-8, 1e-9) if celo2 else (0.999, 1e-6, 1e-5)

    def update(self, p, g):
        keep = DECAYS[:, None]
        self.m.mul_(keep[..., None]).add_((1 - keep[..., None]) * g)
        self.v.mul_(self.keep_v).addcmul_(g, g, value=1 - self.keep_v)
        square = g * g + 1e-30
        self.row.mul_(keep).add_((1 - keep) * square.mean(1))
        self.col.mul_(keep).add_((1 - keep) * square.mean(0))
        factor = safe_rsqrt(self.row / (self.row.mean(1, keepdim=True) + 1e-9))[:, :, None] * safe_rsqrt(self.col)[:, None, :]
        rs = torch.rsqrt(self.v + self.eps_v)
        row, col = self.row[:, :, None].expand_as(self.m), self.col[:, None, :].expand_as(self.m)
        parts = [g[None]] + ([g.clamp(-0.1, 0.1)[None]] if self.celo2 else [])
        parts += [p[None], self.m, self.v[None], self.m * rs, rs[None], g * factor] + ([(g * rs)[None]] if self.celo2 else [])
        parts += [row, col, torch.rsqrt(row + 1e-8), torch.rsqrt(col + 1e-8), self.m * factor]
        x = torch.cat(parts).reshape(-1, p.numel()).T.contiguous()
        return x * torch.rsqrt(self.eps + (x * x).mean(0))


class SmallFc:
    def __init__(self, theta, shape):
        self.theta, self.features, self.t = theta, Features(shape, False), 0

    def step(self, p, g):
        times = torch.tanh(self.t / TIMES - 1).float()
        x = torch.cat([self.features.update(p, g), times.expand(p.numel(), -1)], 1)
        out = network(x, self.theta)
        p.sub_((out[:, 0] * torch.exp(1e-3 * out[:, 1]) * 1e-3).reshape(p.shape))
        self.t += 1


class Flt:
    """One head, rate 0.001, t_ref 1000."""

    def __init__(self, theta, shape):
        n, (_, m, _), dv = shape[0] * shape[1], theta["omega"].shape, theta["wv"].shape[2]
        self.theta, self.features, self.t = theta, Features(shape, True), 0
        self.s, self.z, self.c = torch.zeros(n, m, dv), torch.zeros(n, m), torch.full((n, 1), -1e30)

    def snippets(self):
        position = math.log1p(self.t) / math.log1p(1000.0)
        xi, rho = self.theta["xi"][0, :, 0].double(), self.theta["rho"][0].double()
        phase = 2 * math.pi * xi * position
        wave, r = torch.stack([torch.cos(phase), torch.sin(phase)]) / math.sqrt(len(xi)), len(xi)
        omega = self.theta["omega"][0, :, -2 * r:].double()
        return (omega @ (wave * rho).reshape(-1)).float(), (omega @ wave.reshape(-1)).float()

    def step(self, p, g):
        w, x, (a, b) = self.theta, self.features.update(p, g), self.snippets()
        dk = w["wq"].shape[2]
        omega = w["omega"][0, :, :dk].T
        q, k, u = x @ w["wq"][0] * dk ** -0.25, x @ w["wk"][0] * dk ** -0.25, x @ w["wv"][0]
        lq = torch.addmm(a, q, omega)
        lk = torch.addmm(b, k, omega) - 0.5 * (k * k).sum(1, keepdim=True)
        top = torch.maximum(self.c, lk.amax(1, keepdim=True))
        keep, fk = torch.exp(self.c - top - w["tau"][0].clamp_min(0)), torch.exp((lk - top).clamp_min(LEAST))
        self.s.mul_(keep[..., None]).addcmul_(fk[:, :, None], u[:, None, :])
        self.z.mul_(keep).add_(fk)
        self.c = top
        fq = torch.exp((lq - lq.amax(1, keepdim=True)).clamp_min(LEAST))
        read = torch.bmm(fq[:, None, :], self.s)[:, 0] / (fq * self.z).sum(1, keepdim=True)
        out = network(torch.cat([x, read], 1), w)
        gain = torch.exp(0.1 * out[:, 1].clamp(-10, 10)).mean()
        direction = out[:, 0] * torch.rsqrt(1e-9 + (out[:, 0] ** 2).mean())
        p.sub_((1e-3 * gain * direction).reshape(p.shape))
        self.t += 1
