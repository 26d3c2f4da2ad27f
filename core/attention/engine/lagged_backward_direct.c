// SPDX-License-Identifier: MIT
// Gradients of attention with a factor a lag, tile by tile; see lagged_backward.h.
#include "lagged_backward_direct.h"
#include "lagged_direct.h"

#include <math.h>
#include <string.h>

enum {
    TILE = FLTX_LAGGED_TILE,
    NEAR = 10, // tiles of keys share a scale while their largest log features are no further from it
};

typedef flt_att_lagged_back_job job;

typedef struct tile { // rows i .. i + n - 1, keys j .. j + cols - 1
    size_t i, n, j, cols;
} tile;

// Products of features below this have lost digits, or their factors have.
static const flt_real LEAST = sizeof(flt_real) == 4 ? (flt_real)1e-20 : (flt_real)1e-200;

// Logarithms of the factors of row i and keys from j.
static const flt_real *factors(const job *k, size_t i, size_t j) {
    const size_t lags = 2 * k->a->N - 1;
    return k->a->lags + (k->a->heads == 1 ? 0 : k->head * lags) + j + k->a->N - 1 - i;
}

// A weight that left the range of the products: its features' shares one by one. Returns P.
static flt_real add_alone(const job *k, size_t i, size_t j, flt_real bias, flt_real dot) {
    const size_t m = k->a->m;
    const flt_real *lq = k->w->lq + i * m, *lk = k->w->lk + j * m;
    const double log_weight = flt_att_lagged_log_weight(m, lq, lk);
    const double p = exp(log_weight + (double)bias - (double)k->u->norm[i]), dl = p * (double)(dot - k->u->term[i]);
    for (size_t f = 0; p > 0 && f < m; f++) {
        const flt_real part = (flt_real)(dl * exp((double)lq[f] + (double)lk[f] - log_weight));
        k->u->dlq[i * m + f] += part;
        k->u->dlk[j * m + f] += part;
    }
    if (k->dlags != NULL) k->dlags[j + k->a->N - 1 - i] += dl;
    return (flt_real)p;
}

// How many of its keys row x of a tile may see.
static size_t seen(const job *k, tile t, size_t x) {
    const size_t end = t.i + x + 1;
    return !k->a->causal ? t.cols : end > t.j ? flt_smaller(t.cols, end - t.j) : 0;
}

// One row of products s and of dout.v in ds: s becomes P, ds what the features' products are multiplied with, dL / s.
static void weigh_row(const job *k, tile t, size_t x, flt_real *s, flt_real *ds) {
    const flt_real dust = (flt_real)log((double)LEAST);
    const size_t i = t.i + x, n = seen(k, t, x);
    const flt_real base = k->u->base[x];
    const flt_real *bias = factors(k, i, t.j);
    flt_real e[TILE] = {0};
    for (size_t y = 0; y < n; y++) e[y] = bias[y] + base;
    flt_vexp(n, e, e);
    for (size_t y = 0; y < t.cols; y++) {
        const flt_real dot = ds[y];
        ds[y] = 0;
        if (y >= n) {
            s[y] = 0;
        } else if (s[y] > LEAST) {
            ds[y] = e[y] * (dot - k->u->term[i]); // dL / s
            if (k->dlags != NULL) k->dlags[t.j + y + k->a->N - 1 - i] += (double)ds[y] * (double)s[y];
            s[y] *= e[y];
        } else {
            s[y] = dust + bias[y] + base < -150 ? 0 : add_alone(k, i, t.j + y, bias[y], dot); // NaN goes the long way
        }
    }
}

// What the rows of x [n, cols] may not see becomes `value`.
static void fill_unseen(const job *k, tile t, flt_real value, flt_real *x) {
    if (!k->a->causal || t.j + t.cols <= t.i + 1) return;
    for (size_t r = 0; r < t.n; r++)
        for (size_t y = seen(k, t, r); y < t.cols; y++) x[r * t.cols + y] = value;
}

// The same for the whole tile, at once where no row needs to be looked at.
static void weigh_tile(const job *k, tile t, flt_real *s) {
    const size_t N = k->a->N;
    flt_att_lagged_back_slot *u = k->u;
    flt_real *dl = k->dlags != NULL ? u->dl : NULL;
    for (size_t x = 0; x < t.n; x++) u->base[x] = u->high[x] - u->norm[t.i + x];
    fill_unseen(k, t, 1, s);
    if (k->a->tiles->all_above(t.n * t.cols, s, LEAST)) {
        k->a->tiles->weigh_lags(t.n, t.cols, factors(k, t.i, t.j), u->base, u->term + t.i, s, u->ds, dl);
        fill_unseen(k, t, 0, s);
        fill_unseen(k, t, 0, u->ds);
        if (dl == NULL) return;
        fill_unseen(k, t, 0, dl);
        k->a->tiles->add_diagonals(t.n, t.cols, dl, k->dlags + (t.j + N - t.i - t.n));
        return;
    }
    for (size_t x = 0; x < t.n; x++) weigh_row(k, t, x, s + x * t.cols, u->ds + x * t.cols);
}

static bool is_apart(size_t m, const flt_real *x, const flt_real *y) {
    bool near = true;
    for (size_t f = 0; f < m; f++) near &= x[f] - y[f] <= NEAR && y[f] - x[f] <= NEAR;
    return !near;
}

// psi [N, m], in the place of what the forward pass had there, under a scale a tile, which is that of the tile before as long as
// that will do: what depends on it is then the same.
void flt_att_lagged_back_open(const job *k) {
    const size_t m = k->a->m, N = k->a->N;
    flt_real *scale = k->u->scale;
    for (size_t j = 0; j < N; j += TILE, scale += m) {
        const size_t n = flt_smaller(TILE, N - j);
        const flt_real *lk = k->w->lk + j * m;
        k->a->tiles->column_max(n, m, lk, scale);
        if (j > 0 && !is_apart(m, scale, scale - m)) memcpy(scale, scale - m, m * sizeof *scale);
        k->a->tiles->key_features(n, m, lk, scale, k->w->pk + j * m);
    }
    memset(k->u->dpsi, 0, N * m * sizeof *k->u->dpsi);
}

// What the rows have gathered under one scale of keys.
static void settle_rows(const job *k, tile t) {
    flt_att_add_products(t.n * k->a->m, k->w->phi, k->u->dphi, k->u->dlq + t.i * k->a->m);
    memset(k->u->dphi, 0, t.n * k->a->m * sizeof *k->u->dphi);
}

// phi of the rows under the scale of the tile's keys. first: they were under none before.
static void scale_rows(const job *k, tile t, bool first) {
    const size_t m = k->a->m;
    const flt_real *scale = k->u->scale + t.j / TILE * m;
    if (!first && memcmp(scale, scale - m, m * sizeof *scale) == 0) return;
    if (!first) settle_rows(k, t);
    flt_att_lagged_scale_queries(t.n, m, k->w->lq + t.i * m, scale, k->w->phi, k->u->high);
}

// s = phi psi^T of the tile
static void multiply_features(const job *k, tile t, flt_real *s) {
    const size_t m = k->a->m;
    flt_gemm(false, true, t.n, t.cols, m, 1, k->w->phi, m, k->w->pk + t.j * m, m, 0, s, t.cols);
}

// Where the products of the tile are kept, if there is room.
static flt_real *kept_at(const job *k, tile t) {
    const size_t index = t.j / TILE;
    return index < k->b->kept ? k->u->kept + index * TILE * TILE : NULL;
}

// kept: its products have been formed
static void run_tile(const job *k, tile t, bool kept) {
    const size_t m = k->a->m, dv = k->a->dv;
    flt_att_lagged_back_slot *u = k->u;
    flt_real *s = kept && kept_at(k, t) != NULL ? kept_at(k, t) : k->w->s;
    if (s == k->w->s) multiply_features(k, t, s);
    flt_gemm(false, true, t.n, t.cols, dv, 1, k->p->dout + t.i * dv, dv, k->p->v + t.j * dv, dv, 0, u->ds, t.cols);
    weigh_tile(k, t, s);
    flt_gemm(true, false, t.cols, dv, t.n, 1, s, t.cols, k->p->dout + t.i * dv, dv, 1, k->p->dv + t.j * dv, dv);
    flt_gemm(false, false, t.n, m, t.cols, 1, u->ds, t.cols, k->w->pk + t.j * m, m, 1, u->dphi, m);
    flt_gemm(true, false, t.cols, m, t.n, 1, u->ds, t.cols, k->w->phi, m, 1, u->dpsi + t.j * m, m);
}

static tile tile_at(size_t i, size_t n, size_t j, size_t keys) {
    return (tile){i, n, j, flt_smaller(TILE, keys - j)};
}

// Rows i .. i + n - 1 and keys from .. to - 1; kept: find_norms has just seen them
static void run_keys(const job *k, size_t i, size_t n, size_t from, size_t to, bool kept) {
    memset(k->u->dphi, 0, n * k->a->m * sizeof *k->u->dphi);
    for (size_t j = from; j < to; j += TILE) {
        scale_rows(k, tile_at(i, n, j, to), j == from);
        run_tile(k, tile_at(i, n, j, to), kept);
    }
    settle_rows(k, (tile){.i = i, .n = n});
}

void flt_att_lagged_back_span(const job *k, size_t i, size_t n, size_t from, size_t to) {
    run_keys(k, i, n, from, to, false);
}

// The logarithms of the sums of rows i .. i + n - 1.
static void find_norms(const job *k, size_t i, size_t n, size_t keys) {
    flt_att_lagged_slot *w = k->w;
    flt_att_lagged_rows r;
    flt_att_lagged_clear(k->a, w, i, n, NULL);
    flt_att_lagged_rows_begin(k->a, w, k->head, i, n, &r);
    for (size_t j = 0; j < keys; j += TILE) {
        const tile t = tile_at(i, n, j, keys);
        flt_real *s = kept_at(k, t) != NULL ? kept_at(k, t) : k->u->ds;
        scale_rows(k, t, j == 0);
        multiply_features(k, t, s);
        memcpy(r.high, k->u->high, n * sizeof *r.high);
        flt_att_lagged_weigh(&r, j, t.cols, s, NULL);
    }
    flt_vlog(n, w->sum + i, w->sum + i);
    for (size_t x = i; x < i + n; x++) k->u->norm[x] = w->top[x] + w->sum[x];
}

void flt_att_lagged_back_direct(const job *k) {
    const size_t N = k->a->N;
    for (size_t i = 0; i < N; i += TILE) {
        const size_t n = flt_smaller(TILE, N - i), keys = k->a->causal ? i + n : N;
        memset(k->u->dphi, 0, n * k->a->m * sizeof *k->u->dphi);
        find_norms(k, i, n, keys);
        run_keys(k, i, n, 0, keys, true);
    }
}

void flt_att_lagged_back_close(const job *k) {
    flt_att_add_products(k->a->N * k->a->m, k->w->pk, k->u->dpsi, k->u->dlk);
}
