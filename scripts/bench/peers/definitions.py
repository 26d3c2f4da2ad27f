# SPDX-License-Identifier: MIT
"""The mechanisms in PyTorch (and JAX, where it is installed), as a user would write them. q, k, v [H, N, d]."""
import math

import torch

from .library import HEADS, WIDTH

CHUNK = 128
SHRINK = WIDTH ** -0.25
FAR = -1e4  # a bias that masks


# ---- exact

def lags_of(n):
    return 0.3 * torch.cos(torch.arange(-(n - 1), n, dtype=torch.float64) * 0.02)


def bias_of(lags, n, causal):
    at = torch.arange(n)
    bias = lags[(at[None, :] - at[:, None]) + n - 1].float()
    return bias.masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf) if causal else bias


def exact(q, k, v, bias):
    return torch.softmax(torch.baddbmm(bias.expand(len(q), -1, -1), q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5), -1) @ v


def sdpa(q, k, v, bias):
    return torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=bias[None, None])[0]


def flex(lags, n, causal):
    """flex_attention with the lags read from a table; compiled, as its authors demand."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    table, compiled = lags.float(), torch.compile(flex_attention)

    def score(s, b, h, i, j):
        return s + table[j - i + n - 1]
    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, n, n, device="cpu") if causal else None
    return lambda q, k, v: compiled(q[None], k[None], v[None], score_mod=score, block_mask=mask)[0]


# ---- linear

def log_features(x, omega):
    return x @ omega.transpose(1, 2) - 0.5 * (x * x).sum(-1, keepdim=True)


def linear(q, k, v, omega, causal):
    """q, k [H, N, D] scaled, with their snippets."""
    u = log_features(q, omega)
    fq = torch.exp(u - u.amax(-1, keepdim=True))
    u = log_features(k, omega)
    fk = torch.exp(u - u.amax((1, 2), keepdim=True))
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


def flt(q, k, v, a, b, omega, causal):
    return linear(torch.cat([q * SHRINK, a], -1), torch.cat([k * SHRINK, b], -1), v, omega, causal)


def heads(x, rank):
    return x if x.dim() > rank else x[None]


def snippets(draws, n):
    """a, b [H, N, 2r] at positions 0 .. N-1, and omega [H, m, D]."""
    phase = 2 * math.pi * ((torch.arange(n, dtype=torch.float64)[:, None] * heads(draws["xi"], 2)[..., 0][:, None, :]) % 1.0)
    rho, scale = heads(draws["rho"], 1)[:, None, :], phase.shape[-1] ** -0.5
    cosine, sine = torch.cos(phase) * scale, torch.sin(phase) * scale
    wide = (torch.cat([rho * cosine, rho * sine], -1), torch.cat([cosine, sine], -1), heads(draws["omega"], 2))
    return tuple(x.float().expand(HEADS, -1, -1) for x in wide)


class Stream:
    """FLT token by token: S [H, m, d + 1], the running key scale c [H, 1, 1]."""

    def __init__(self, a, b, omega):
        self.a, self.b, self.omega = (x.contiguous() for x in (a, b, omega.transpose(1, 2)))

    def run(self, q, k, v, out):
        state, top = torch.zeros(HEADS, self.omega.shape[2], WIDTH + 1), torch.full((HEADS, 1, 1), -1e30)
        one = torch.ones(HEADS, 1, 1)
        for t in range(len(q)):
            x = torch.cat([k[t, :, None] * SHRINK, self.b[:, t, None]], -1)
            u = x @ self.omega - 0.5 * (x * x).sum(-1, keepdim=True)
            largest = torch.maximum(top, u.amax(-1, keepdim=True))
            token = torch.exp(u - largest).transpose(1, 2) * torch.cat([v[t, :, None], one], -1)
            state = state * torch.exp(top - largest) + token
            top = largest
            x = torch.cat([q[t, :, None] * SHRINK, self.a[:, t, None]], -1)
            u = x @ self.omega
            read = torch.exp(u - u.amax(-1, keepdim=True)) @ state
            out[t] = (read[..., :-1] / read[..., -1:])[:, 0]


# ---- nprf

def nprf(q, k, v, lags, omega):
    """e^lag by circulant products: rows m (d + 1) of length N, transformed head by head."""
    n, out = q.shape[1], torch.empty_like(v)
    size = 2 * n
    weight = torch.zeros(size)
    weight[:n], weight[n + 1:] = torch.exp(lags[n - 1:]), torch.exp(lags[:n - 1])
    spectrum = torch.fft.rfft(weight).conj()
    for h in range(len(q)):
        w = omega[h if len(omega) > 1 else 0]
        fq = torch.exp(torch.nn.functional.normalize(q[h], dim=-1) @ w.T - 0.5)
        fk = torch.exp(torch.nn.functional.normalize(k[h], dim=-1) @ w.T - 0.5)
        v1 = torch.cat([v[h], torch.ones(n, 1)], -1)
        x = fk.T[:, None, :] * v1.T[None]
        y = torch.fft.irfft(torch.fft.rfft(x, size) * spectrum, size)[..., :n]
        read = (y * fq.T[:, None, :]).sum(0).T
        out[h] = read[:, :-1] / read[:, -1:]
    return out


# ---- JAX

def jax_flt(causal):
    import jax
    import jax.numpy as jnp

    def prefixed(fq, fk, v):
        h, n, m = fq.shape
        size = min(CHUNK, n)
        fq, fk, v = fq.reshape(h, -1, size, m), fk.reshape(h, -1, size, m), v.reshape(h, n // size, size, -1)
        states = jnp.swapaxes(fk, 2, 3) @ v
        before = jnp.cumsum(states, 1) - states
        return (jnp.tril(fq @ jnp.swapaxes(fk, 2, 3)) @ v + fq @ before).reshape(h, n, -1)

    def run(q, k, v, a, b, omega):
        q, k = jnp.concatenate([q * SHRINK, a], -1), jnp.concatenate([k * SHRINK, b], -1)
        u = q @ jnp.swapaxes(omega, 1, 2) - 0.5 * (q * q).sum(-1, keepdims=True)
        fq = jnp.exp(u - u.max(-1, keepdims=True))
        u = k @ jnp.swapaxes(omega, 1, 2) - 0.5 * (k * k).sum(-1, keepdims=True)
        fk = jnp.exp(u - u.max((1, 2), keepdims=True))
        v = jnp.concatenate([v, jnp.ones_like(v[..., :1])], -1)
        out = prefixed(fq, fk, v) if causal else fq @ (jnp.swapaxes(fk, 1, 2) @ v)
        return out[..., :-1] / out[..., -1:]
    return jax.jit(run)


def jax_exact():
    import jax

    def run(q, k, v, bias):
        return jax.nn.softmax(q @ k.swapaxes(1, 2) * q.shape[-1] ** -0.5 + bias, -1) @ v
    return jax.jit(run)
