// SPDX-License-Identifier: MIT
// Kernel attention whose weights carry one factor a lag: the way through Fourier transforms; see lagged.h.
#include "lagged_fft.h"
#include "lagged_direct.h"

#include "flt/plant.h"

#include <math.h>
#include <string.h>

enum { TILE = FLTX_LAGGED_TILE, LIMIT = 512 };

// ---- a piece

const flt_real *flt_att_lagged_spectrum(const flt_att_lagged *a, flt_att_piece p) {
    const flt_att_level *l = &a->level[p.level];
    return l->spectrum + (a->heads == 1 ? 0 : p.head * 2 * (l->size / 2 + 1));
}

flt_att_convolution flt_att_lagged_convolution(const flt_att_lagged *a, const flt_att_lagged_slot *w, flt_att_piece p,
                                               bool back) {
    const flt_att_level *l = &a->level[p.level];
    flt_att_convolution c = {.n = l->size, .twiddles = l->twiddles, .flip = back, .room = w->wave};
    c.spectrum = l->ordered + (a->heads == 1 ? 0 : p.head * 2 * l->size);
    c.keys = back ? p.rows : p.keys, c.from = back ? p.shift : 0;
    c.rows = back ? p.keys : p.rows, c.shift = back ? 0 : p.shift;
    return c;
}

void flt_att_lagged_levels(const flt_att_lagged *a, flt_att_lagged_slot *w, flt_att_piece p) {
    a->tiles->column_max(p.keys, a->m, w->lk + p.source * a->m, w->level);
}

// Scales of features over the keys of the piece, and of its queries.
static void scales(const flt_att_lagged *a, flt_att_lagged_slot *w, flt_att_piece p) {
    const size_t m = a->m;
    flt_att_lagged_levels(a, w, p);
    for (size_t i = 0; i < p.rows; i++) {
        const flt_real *lq = w->lq + (p.target + i) * m;
        for (size_t f = 0; f < m; f++) w->phi[f] = lq[f] + w->level[f];
        w->high[i] = flt_max(m, w->phi);
    }
}

void flt_att_lagged_features(const flt_att_lagged *a, flt_att_lagged_slot *w, flt_att_piece p, size_t f, size_t count) {
    const size_t m = a->m;
    const flt_real *level = w->level + f;
    for (size_t j = 0; j < p.keys; j++) {
        const flt_real *lk = w->lk + (p.source + j) * m + f;
        for (size_t x = 0; x < count; x++) w->psi[j * count + x] = lk[x] - level[x];
    }
    for (size_t i = 0; i < p.rows; i++) {
        const flt_real *lq = w->lq + (p.target + i) * m + f;
        for (size_t x = 0; x < count; x++) w->theta[i * count + x] = lq[x] + level[x] - w->high[i];
    }
    flt_vexp(p.keys * count, w->psi, w->psi);
    flt_vexp(p.rows * count, w->theta, w->theta);
}

void flt_att_lagged_column(const flt_att_lagged_slot *w, flt_att_piece p, size_t x, size_t count) {
    for (size_t j = 0; j < p.keys; j++) w->colk[j] = w->psi[j * count + x];
    for (size_t i = 0; i < p.rows; i++) w->colq[i] = w->theta[i * count + x];
}

// Features from f on: their part of den, all in one, and of est and acc, one after the other.
static void add_features(const flt_att_lagged *a, flt_att_lagged_slot *w, flt_att_piece p, size_t f, const flt_real *v) {
    const size_t width = a->convolver->width, count = flt_smaller(width, a->m - f);
    flt_att_convolution c = flt_att_lagged_convolution(a, w, p, false);
    flt_att_lagged_features(a, w, p, f, count);
    c.columns = c.ldx = c.ldp = count, c.x = w->psi, c.phi = w->theta, c.sum = w->den;
    a->convolver->convolve(&c);
    c.sum = NULL;
    c.wx = w->colk, c.wy = w->colq, c.ldx = c.ldy = a->dv;
    for (size_t x = 0; x < count; x++) {
        flt_att_lagged_column(w, p, x, count);
        flt_axpy(p.rows, (flt_real)sqrt(flt_sum_squares(p.keys, w->colk)), w->colq, w->est);
        for (size_t at = 0; v != NULL && at < a->dv; at += width) {
            c.columns = flt_smaller(width, a->dv - at);
            c.x = v + p.source * a->dv + at, c.y = w->acc + at;
            a->convolver->convolve(&c);
        }
    }
}

// Joins what the piece brought with what its rows had, as online softmax does.
static void merge(const flt_att_lagged *a, flt_att_lagged_slot *w, flt_att_piece p, flt_real *out) {
    const flt_att_level *l = &a->level[p.level];
    const size_t h = a->heads == 1 ? 0 : p.head;
    for (size_t i = 0; i < p.rows; i++) {
        const size_t row = p.target + i;
        const double high = (double)w->high[i] + l->top[h], top = fmax(high, (double)w->top[row]);
        const flt_real old = (flt_real)exp((double)w->top[row] - top), new = (flt_real)exp(high - top);
        w->top[row] = (flt_real)top;
        w->sum[row] = w->sum[row] * old + w->den[i] * new;
        w->err[row] = w->err[row] * old + w->est[i] * (flt_real)l->norm[h] * new;
        for (size_t c = 0; out != NULL && c < a->dv; c++)
            out[row * a->dv + c] = out[row * a->dv + c] * old + w->acc[i * a->dv + c] * new;
    }
}

typedef struct job { // one head of the forward pass
    const flt_att_lagged *a;
    flt_att_lagged_slot *w;
    const flt_real *v; // NULL: sums alone
    flt_real *out;
} job;

static void run_piece(void *self, flt_att_piece p) {
    const job *k = self;
    const flt_att_lagged *a = k->a;
    flt_att_lagged_slot *w = k->w;
    scales(a, w, p);
    memset(w->den, 0, p.rows * sizeof *w->den);
    memset(w->est, 0, p.rows * sizeof *w->est);
    memset(w->acc, 0, p.rows * a->dv * sizeof *w->acc);
    for (size_t f = 0; f < a->m; f += a->convolver->width) add_features(a, w, p, f, k->v);
    merge(a, w, p, k->out);
}

static void run_rows(void *self, size_t head, size_t first, size_t count, size_t from) {
    const job *k = self;
    flt_att_lagged_direct(k->a, k->w, head, first, count, flt_att_keys(k->a, from, first + count - 1), k->v, k->out);
}

// ---- a head

static void walk_halves(const flt_att_lagged *a, size_t head, size_t first, size_t count, const flt_att_walk *walk) {
    size_t k = 0;
    if (count <= a->block) {
        for (size_t i = first; i < first + count; i += TILE)
            walk->rows(walk->self, head, i, flt_smaller(TILE, first + count - i), first);
        return;
    }
    while (2 * a->level[k].span < count) k++;
    const size_t half = a->level[k].span;
    walk_halves(a, head, first, half, walk);
    walk->piece(walk->self, (flt_att_piece){head, k, first, first + half, half, count - half, half});
    walk_halves(a, head, first + half, count - half, walk);
}

void flt_att_lagged_walk(const flt_att_lagged *a, size_t head, const flt_att_walk *walk) {
    if (a->causal)
        walk_halves(a, head, 0, a->N, walk);
    else
        walk->piece(walk->self, (flt_att_piece){head, 0, 0, 0, a->N, a->N, 0});
}

// Rows whose error bound is too large for their denominator, directly. Negated, so that NaN is among them.
static void repair(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out) {
    for (size_t i = 0; i < a->N; i++) {
        if (FLTX_BUG(TRUSTED_DENOMINATOR) || (w->sum[i] > 0 && w->err[i] <= LIMIT * w->sum[i])) continue;
        flt_att_lagged_clear(a, w, i, 1, out);
        flt_att_lagged_direct(a, w, head, i, 1, flt_att_keys(a, 0, i), v, out);
        w->err[i] = (flt_real)INFINITY;
        w->flagged++;
    }
}

void flt_att_lagged_fft(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out) {
    memset(w->err, 0, a->N * sizeof *w->err);
    job k = {a, w, v, out};
    flt_att_lagged_walk(a, head, &(flt_att_walk){&k, run_piece, run_rows});
    repair(a, w, head, v, out);
}

// ---- plan

// c of one head: at delta >= 0 the factor of lag delta, at size - delta that of lag -delta; causal: past lags alone.
static void load_factors(const flt_att_lagged *a, flt_att_level *l, size_t head, const double *b, flt_real *c) {
    const size_t N = a->N, past = flt_smaller(l->size - 1, N - 1);
    double top = a->causal ? -INFINITY : b[N - 1], squares = 0;
    for (size_t i = 1; i <= past; i++) {
        top = fmax(top, b[N - 1 - i]);
        if (!a->causal) top = fmax(top, b[N - 1 + i]);
    }
    memset(c, 0, l->size * sizeof *c);
    for (size_t i = 0; i <= past; i++) {
        if (!a->causal) c[i] = (flt_real)exp(b[N - 1 + i] - top);
        if (i > 0) c[l->size - i] = (flt_real)exp(b[N - 1 - i] - top);
    }
    for (size_t i = 0; i < l->size; i++) squares += (double)c[i] * (double)c[i];
    l->top[head] = top;
    l->norm[head] = sqrt(squares);
}

static flt_err make_level(flt_att_lagged *a, flt_att_level *l) {
    const size_t level = (size_t)(l - a->level);
    FLTX_TRY(flt_alloc(a->heads, sizeof *l->top, &l->top));
    FLTX_TRY(flt_alloc(a->heads, sizeof *l->norm, &l->norm));
    FLTX_TRY(flt_alloc(a->heads * 2, (l->size / 2 + 1) * sizeof *l->spectrum, &l->spectrum));
    FLTX_TRY(flt_alloc(a->heads * 2, l->size * sizeof *l->ordered, &l->ordered));
    FLTX_TRY(flt_alloc(flt_att_convolve_twiddles(l->size), sizeof *l->twiddles, &l->twiddles));
    flt_att_convolve_fill(l->size, l->twiddles);
    for (int t = 0; t < (a->backward ? a->threads : 1); t++) FLTX_TRY(flt_fft_create(l->size, 1, &a->slots[t].fft[level]));
    return FLTE_OK;
}

flt_err flt_att_lagged_fft_plan(flt_att_lagged *a) {
    size_t span = a->causal ? a->block : a->N;
    do {
        a->level[a->levels].span = span;
        a->level[a->levels++].size = a->causal ? 2 * span : flt_att_convolve_size(FLTX_BUG(WRAPPED) ? a->N : 2 * a->N - 1);
        span *= 2;
    } while (a->causal && span < a->N);
    for (size_t k = 0; k < a->levels; k++) FLTX_TRY(make_level(a, &a->level[k]));
    return FLTE_OK;
}

void flt_att_lagged_fft_load(flt_att_lagged *a, const double *lags) {
    for (size_t k = 0; k < a->levels; k++) {
        flt_att_level *l = &a->level[k];
        const size_t width = 2 * (l->size / 2 + 1);
        for (size_t h = 0; h < a->heads; h++) {
            flt_real *c = l->spectrum + h * width;
            load_factors(a, l, h, lags + h * (2 * a->N - 1), a->slots[0].row);
            flt_fft_forward(a->slots[0].fft[k], a->slots[0].row, c);
            for (size_t i = 1; i < width; i += 2) c[i] = -c[i]; // as of the kernel at i - j
            flt_att_convolve_order(l->size, c, l->ordered + h * 2 * l->size);
        }
    }
}
