// SPDX-License-Identifier: MIT
// Two passes over a chunk: log features and values of a vector of tokens go to scratch, keys add up; then every token reads.
#include "kernels/pool.h"
#include "kernels/lanes.h"

enum { WIDTH = FLTX_POOL_WIDTH, INPUTS = FLTX_POOL_INPUTS };

typedef struct sums {
    flt_real z[WIDTH], S[WIDTH * WIDTH]; // [m], [m, dv]
} sums;

// sin and cos of 2 pi u: u = quadrant / 4 + rest
FLTX_INLINE void turn(flt_vreal u, flt_vreal *sine, flt_vreal *cosine) {
    const flt_vreal four = u * REAL(4), shifted = four + FLTX_ROUNDER;
    flt_vreal_sincos_quadrant((four - (shifted - FLTX_ROUNDER)) * REAL(1.5707963267948966192), (flt_vbits)shifted, sine, cosine);
}

// The encoding's share of lq and lk [m] at the positions of a vector.
static void encode(const flt_pool_args *a, size_t at, flt_vreal *lq, flt_vreal *lk) {
    flt_vreal wave[2 * WIDTH];
    const flt_vreal first = load(a->position + at), second = load(a->position + a->ld + at);
    for (size_t i = 0; i < a->r; i++) {
        const flt_vreal phase = first * a->xi[i] + second * a->xi[a->r + i];
        turn(phase, &wave[a->r + i], &wave[i]);
    }
    for (size_t f = 0; f < a->m; f++) lq[f] = lk[f] = set(0);
    product(2 * a->r, a->m, wave, a->on_query, lq);
    product(2 * a->r, a->m, wave, a->on_key, lk);
}

// Log features and values of the tokens at .. at + FLTX_LANES - 1 -> out: lq [m], lk [m], u [dv].
static void project(const flt_pool_args *a, size_t at, flt_vreal *out) {
    flt_vreal x[INPUTS], y[3 * WIDTH], square = set(0);
    flt_vreal *lq = out, *lk = out + a->m, *k = y + a->dk;
    const size_t wide = 2 * a->dk + a->dv;
    for (size_t i = 0; i < a->inputs; i++) x[i] = load(a->x + i * a->ld + at);
    for (size_t j = 0; j < wide; j++) y[j] = set(0);
    product(a->inputs, wide, x, a->w, y);
    encode(a, at, lq, lk);
    product(a->dk, a->m, y, a->omega, lq);
    product(a->dk, a->m, k, a->omega, lk);
    for (size_t i = 0; i < a->dk; i++) square += k[i] * k[i];
    for (size_t f = 0; f < a->m; f++) lk[f] -= REAL(0.5) * square;
    for (size_t j = 0; j < a->dv; j++) out[2 * a->m + j] = k[a->dk + j];
}

// 1 for tokens, 0 behind the last
FLTX_INLINE flt_vreal token_mask(size_t at, size_t end) {
    flt_vreal mask = set(0);
    for (size_t i = 0; i < FLTX_LANES; i++) mask[i] = at + i < end;
    return mask;
}

static void add_keys(const flt_pool_args *a, size_t first, size_t end, const flt_vreal *tokens, sums *out) {
    const size_t words = 2 * a->m + a->dv;
    flt_vreal top = set(-INFINITY), z[WIDTH], S[WIDTH];
    const flt_vreal *v = tokens;
    for (size_t at = first; at < end; at += FLTX_LANES, v += words) {
        const flt_vreal mask = token_mask(at, end);
        for (size_t f = 0; f < a->m; f++) top = flt_vreal_max(flt_vreal_if_less(set(0), mask, v[a->m + f], set(-INFINITY)), top);
    }
    const flt_vreal most = set(flt_vreal_largest(top));
    for (size_t f = 0; f < a->m; f++) {
        z[f] = set(0);
        for (size_t j = 0; j < a->dv; j++) S[j] = set(0);
        v = tokens;
        for (size_t at = first; at < end; at += FLTX_LANES, v += words) {
            const flt_vreal key = token_mask(at, end) * exp_low(flt_vreal_min(set(0), v[a->m + f] - most));
            z[f] += key;
            for (size_t j = 0; j < a->dv; j++) S[j] += key * v[2 * a->m + j];
        }
        out->z[f] = flt_vreal_sum(z[f]);
        for (size_t j = 0; j < a->dv; j++) out->S[f * a->dv + j] = flt_vreal_sum(S[j]);
    }
}

static void read_mean(const flt_pool_args *a, size_t first, size_t end, const flt_vreal *tokens, const sums *from, flt_real *out,
                      size_t out_ld) {
    flt_vreal total[WIDTH], read[WIDTH];
    for (size_t j = 0; j < a->dv; j++) total[j] = set(0);
    for (size_t at = first; at < end; at += FLTX_LANES, tokens += 2 * a->m + a->dv) {
        flt_vreal top = tokens[0], denominator = set(0);
        for (size_t f = 1; f < a->m; f++) top = flt_vreal_max(tokens[f], top);
        for (size_t j = 0; j < a->dv; j++) read[j] = set(0);
        for (size_t f = 0; f < a->m; f++) {
            const flt_vreal query = exp_low(tokens[f] - top);
            denominator += query * from->z[f];
            for (size_t j = 0; j < a->dv; j++) read[j] += query * from->S[f * a->dv + j];
        }
        const flt_vreal weight = token_mask(at, end) / denominator;
        for (size_t j = 0; j < a->dv; j++) total[j] += weight * read[j];
    }
    for (size_t j = 0; j < a->dv; j++) out[j * out_ld] = flt_vreal_sum(total[j]) / REAL(end - first);
}

static void pool(const flt_pool_args *a, flt_real *out, size_t out_ld) {
    flt_vreal *tokens = (flt_vreal *)(void *)a->scratch;
    sums chunk;
    for (size_t first = 0, c = 0; first < a->n; first += a->chunk, c++) {
        const size_t end = a->n - first < a->chunk ? a->n : first + a->chunk;
        for (size_t at = first; at < end; at += FLTX_LANES)
            project(a, at, tokens + (at - first) / FLTX_LANES * (2 * a->m + a->dv));
        add_keys(a, first, end, tokens, &chunk);
        read_mean(a, first, end, tokens, &chunk, out + c, out_ld);
    }
}

const flt_pool FLTX_ISA_TABLE(flt_pool) = {.pool = pool};
