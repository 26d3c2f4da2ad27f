// SPDX-License-Identifier: MIT
// Features: loops that the compiler turns into vectors. Network: one vector of coordinates at a time, weights as broadcasts.
#include "kernels/lopt.h"
#include "kernels/lanes.h"

enum { WIDEST = 256 };

#ifdef FLTX_DOUBLE
#define SQRT __builtin_sqrt
#else
#define SQRT __builtin_sqrtf
#endif

static void mean(size_t n, flt_real keep, flt_real write, const flt_real *restrict g, flt_real *restrict m) {
    for (size_t i = 0; i < n; i++) m[i] = keep * m[i] + write * g[i];
}

static void means(size_t n, size_t decays, const double *keep, const flt_real *g, flt_real *m) {
    for (size_t k = 0; k < decays; k++) mean(n, REAL(keep[k]), REAL(1 - keep[k]), g, m + k * n);
}

static void copy(size_t n, const flt_real *restrict x, flt_real *restrict y) {
    memcpy(y, x, n * sizeof *x);
}

static void times(size_t n, const flt_real *restrict x, const flt_real *restrict y, flt_real *restrict out) {
    for (size_t i = 0; i < n; i++) out[i] = x[i] * y[i];
}

static void clipped(size_t n, const flt_real *restrict g, flt_real *restrict out) {
    for (size_t i = 0; i < n; i++) out[i] = g[i] > REAL(0.1) ? REAL(0.1) : g[i] < REAL(-0.1) ? REAL(-0.1) : g[i];
}

static void second(const flt_lopt_own *a, flt_real *restrict out_v, flt_real *restrict out_rs) {
    const flt_real keep = a->keep_v, write = a->write_v, eps = a->eps, *restrict g = a->g;
    flt_real *restrict v = a->v;
    for (size_t i = 0, n = a->n; i < n; i++) {
        const flt_real x = keep * v[i] + write * g[i] * g[i];
        v[i] = out_v[i] = x;
        out_rs[i] = 1 / SQRT(x + eps);
    }
}

static void own(const flt_lopt_own *a, flt_real *f) {
    static const double keep[FLTX_LOPT_DECAYS] = {0.9, 0.99, 0.999};
    const size_t n = a->n, ld = a->ld;
    flt_real *m, *rs;
    copy(n, a->g, f);
    if (a->celo2) clipped(n, a->g, f += ld);
    copy(n, a->p, f += ld);
    m = f + ld;
    rs = m + 7 * ld;
    means(n, FLTX_LOPT_DECAYS, keep, a->g, a->m);
    second(a, m + 3 * ld, rs);
    for (size_t d = 0; d < FLTX_LOPT_DECAYS; d++) {
        copy(n, a->m + d * n, m + d * ld);
        times(n, a->m + d * n, rs, m + (4 + d) * ld);
    }
    if (a->celo2) times(n, a->g, rs, rs + 4 * ld);
}

// ---- rows and columns

FLTX_INLINE void add_squares(size_t n, const flt_real *g, size_t step, flt_real *sums) {
    flt_real total = 0;
    for (size_t j = 0; j < n; j++) {
        const flt_real square = g[j] * g[j] + REAL(1e-30);
        if (step == 0)
            total += square;
        else
            sums[j] += square;
    }
    if (step == 0) sums[0] += total;
}

static void sum_lines(const flt_lopt_shape *s, const flt_real *g, flt_real *rows, flt_real *cols) {
    for (size_t k = 0; k < s->runs; k++, g += s->run) {
        add_squares(s->run, g, s->row_step, rows + s->row_at[k]);
        add_squares(s->run, g, s->col_step, cols + s->col_at[k]);
    }
}

FLTX_INLINE void expand(size_t n, const flt_real *restrict x, size_t step, flt_real *restrict out) {
    for (size_t j = 0; j < n; j++) out[j] = x[step * j];
}

FLTX_INLINE void scale(size_t n, const flt_real *restrict g, const flt_real *restrict row, size_t row_step,
                       const flt_real *restrict col, size_t col_step, flt_real *restrict out) {
    for (size_t j = 0; j < n; j++) out[j] = g[j] * (row[row_step * j] * col[col_step * j]);
}

FLTX_INLINE void stretches(const flt_lopt_shape *s, size_t row_step, size_t col_step, const flt_real *g, const flt_real *m,
                           const flt_lopt_line *row, const flt_lopt_line *col, const flt_lopt_factored *f) {
    for (size_t k = 0, at = 0; k < s->runs; k++, at += s->run) {
        const size_t n = s->run, r = s->row_at[k], c = s->col_at[k];
        scale(n, g + at, row->on_g + r, row_step, col->on_g + c, col_step, f->g + at);
        scale(n, m + at, row->on_m + r, row_step, col->on_m + c, col_step, f->m + at);
        expand(n, row->moment + r, row_step, f->row + at);
        expand(n, col->moment + c, col_step, f->col + at);
        expand(n, row->rsqrt + r, row_step, f->row_rsqrt + at);
        expand(n, col->rsqrt + c, col_step, f->col_rsqrt + at);
    }
}

static void factored(const flt_lopt_shape *s, const flt_real *g, const flt_real *m, const flt_lopt_line *row,
                     const flt_lopt_line *col, const flt_lopt_factored *out) {
    if (s->row_step == 0)
        stretches(s, 0, 1, g, m, row, col, out);
    else if (s->col_step == 0)
        stretches(s, 1, 0, g, m, row, col, out);
    else
        stretches(s, 1, 1, g, m, row, col, out);
}

static void rsqrt(size_t n, const flt_real *restrict x, flt_real add, flt_real least, flt_real *restrict out) {
    for (size_t i = 0; i < n; i++) {
        const flt_real y = x[i] + add;
        out[i] = 1 / SQRT(y > least ? y : least);
    }
}

// ---- the network

static void network(const flt_lopt_net *net, const flt_real *f, flt_real *out) {
    flt_vreal in[WIDEST], next[WIDEST];
    for (size_t i = 0; i < net->ld; i += FLTX_LANES) {
        for (size_t k = 0; k < net->width[0]; k++) in[k] = load(f + k * net->ld + i);
        for (size_t layer = 0; layer < net->n_layers; layer++) {
            const size_t wide = net->width[layer + 1];
            const flt_vreal floor = set(layer + 1 < net->n_layers ? 0 : -INFINITY);
            spread(wide, net->b[layer], next);
            product(net->width[layer], wide, in, net->w[layer], next);
            for (size_t j = 0; j < wide; j++) in[j] = flt_vreal_max(floor, next[j]);
        }
        for (size_t j = 0; j < net->outputs; j++) store(out + j * net->ld + i, in[j]);
    }
}

const flt_lopt FLTX_ISA_TABLE(flt_lopt) = {
    .means = means, .own = own, .sum_lines = sum_lines, .factored = factored, .rsqrt = rsqrt, .network = network};
