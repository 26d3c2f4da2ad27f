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

static void means(size_t n, size_t decays, const double *keep, const flt_real *g, size_t stride, flt_real *m) {
    for (size_t k = 0; k < decays; k++) mean(n, REAL(keep[k]), REAL(1 - keep[k]), g, m + k * stride);
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

static void second(const flt_lopt_own *a) {
    const flt_real keep = a->keep_v, write = a->write_v, *restrict g = a->g;
    flt_real *restrict v = a->v;
    for (size_t i = 0, n = a->n; i < n; i++) v[i] = keep * v[i] + write * g[i] * g[i];
}

static void rsqrt(size_t n, const flt_real *restrict x, flt_real add, flt_real least, flt_real *restrict out) {
    for (size_t i = 0; i < n; i++) {
        const flt_real y = x[i] + add;
        out[i] = 1 / SQRT(y > least ? y : least);
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
    if (a->update) {
        means(n, FLTX_LOPT_DECAYS, keep, a->g, a->stride, a->m);
        second(a);
    }
    copy(n, a->v, m + 3 * ld);
    rsqrt(n, a->v, a->eps, 0, rs);
    for (size_t d = 0; d < FLTX_LOPT_DECAYS; d++) {
        copy(n, a->m + d * a->stride, m + d * ld);
        times(n, a->m + d * a->stride, rs, m + (4 + d) * ld);
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

// ---- the network, two vectors of coordinates at a time: a weight that is broadcast once serves both, which is what lets both
// multipliers of a core run

enum { PAIR = FLTX_VBYTES == 64 ? 8 : 4 }; // outputs at a time: 2 PAIR sums fit in the registers

// out [width, 2] += x [n_in, 2] w [n_in, ld], width <= PAIR
FLTX_INLINE void pair_of(size_t width, size_t n_in, const flt_vreal *x, const flt_real *w, size_t ld, flt_vreal *out) {
    flt_vreal sum[2 * PAIR];
#pragma GCC unroll 16
    for (size_t j = 0; j < 2 * width; j++) sum[j] = out[j];
    for (size_t i = 0; i < n_in; i++) {
        const flt_vreal first = x[2 * i], second = x[2 * i + 1];
#pragma GCC unroll 8
        for (size_t j = 0; j < width; j++) {
            const flt_vreal weight = set(w[i * ld + j]);
            sum[2 * j] += first * weight;
            sum[2 * j + 1] += second * weight;
        }
    }
#pragma GCC unroll 16
    for (size_t j = 0; j < 2 * width; j++) out[j] = sum[j];
}

FLTX_INLINE void product_pair(size_t n_in, size_t n_out, const flt_vreal *x, const flt_real *w, flt_vreal *out) {
    size_t j = 0;
    for (; j + PAIR <= n_out; j += PAIR) pair_of(PAIR, n_in, x, w + j, n_out, out + 2 * j);
    for (; j + 2 <= n_out; j += 2) pair_of(2, n_in, x, w + j, n_out, out + 2 * j);
    for (; j < n_out; j++) pair_of(1, n_in, x, w + j, n_out, out + 2 * j);
}

// In place: in [n_in, 2] -> in [n_out, 2]
FLTX_INLINE void layer_pair(size_t n_in, size_t n_out, const flt_real *w, const flt_real *b, bool last, flt_vreal *in,
                            flt_vreal *next) {
#pragma GCC unroll 8
    for (size_t j = 0; j < n_out; j++) next[2 * j] = next[2 * j + 1] = set(b[j]);
    product_pair(n_in, n_out, in, w, next);
#pragma GCC unroll 8
    for (size_t j = 0; j < 2 * n_out; j++) in[j] = last ? next[j] : flt_vreal_max(set(0), next[j]);
}

FLTX_INLINE void load_pair(const flt_lopt_net *net, const flt_real *f, size_t first, size_t second, size_t inputs,
                           flt_vreal *in) {
#pragma GCC unroll 8
    for (size_t k = 0; k < inputs; k++) {
        in[2 * k] = load(f + k * net->ld + first);
        in[2 * k + 1] = load(f + k * net->ld + second);
    }
}

// Inlined twice: for the hidden width of the published networks, which saves loop counters, and for any.
FLTX_INLINE void network_sized(const flt_lopt_net *net, size_t hidden, const flt_real *f, flt_real *out) {
    flt_vreal in[2 * WIDEST], next[2 * WIDEST];
    const size_t last = net->n_layers - 1;
    for (size_t i = 0; i < net->ld; i += 2 * FLTX_LANES) {
        const size_t second = i + FLTX_LANES < net->ld ? i + FLTX_LANES : i; // a last vector goes by itself, twice
        size_t width = net->width[0];
        load_pair(net, f, i, second, width, in);
        for (size_t k = 0; k < last; k++, width = hidden) layer_pair(width, hidden, net->w[k], net->b[k], false, in, next);
        layer_pair(width, net->width[last + 1], net->w[last], net->b[last], true, in, next);
        for (size_t j = 0; j < net->outputs; j++) {
            store(out + j * net->out_ld + i, in[2 * j]);
            store(out + j * net->out_ld + second, in[2 * j + 1]);
        }
    }
}

static void network(const flt_lopt_net *net, const flt_real *f, flt_real *out) {
    if (net->n_layers > 1 && net->width[1] == 32)
        network_sized(net, 32, f, out);
    else
        network_sized(net, net->width[1], f, out);
}

// ---- sums of squares

static void squares(size_t n, size_t ld, size_t rows, const flt_real *f, double *out) {
    enum { FLUSH = 4096 }; // numbers that are added in flt_real before they go to double
    for (size_t k = 0; k < rows; k++, f += ld) {
        double total = 0;
        for (size_t first = 0; first < n; first += FLUSH) {
            const size_t end = n - first < FLUSH ? n : first + FLUSH;
            flt_vreal sum[4] = {set(0), set(0), set(0), set(0)};
            size_t i = first;
            for (; i + 4 * FLTX_LANES <= end; i += 4 * FLTX_LANES)
#pragma GCC unroll 4
                for (size_t j = 0; j < 4; j++) sum[j] += load(f + i + j * FLTX_LANES) * load(f + i + j * FLTX_LANES);
            for (; i < end; i += FLTX_LANES) {
                const flt_vreal x = end - i < FLTX_LANES ? flt_vreal_load_part(f + i, end - i) : load(f + i);
                sum[0] += x * x;
            }
            total += (double)flt_vreal_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
        }
        out[k] = total;
    }
}

const flt_lopt FLTX_ISA_TABLE(flt_lopt) = {.means = means,
                                           .own = own,
                                           .sum_lines = sum_lines,
                                           .factored = factored,
                                           .rsqrt = rsqrt,
                                           .network = network,
                                           .squares = squares};
