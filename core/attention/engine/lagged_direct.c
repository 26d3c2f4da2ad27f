// SPDX-License-Identifier: MIT
// Attention with a factor a lag, tile by tile; see lagged.h.
#include "lagged_direct.h"

#include <math.h>
#include <string.h>

enum { TILE = FLTX_LAGGED_TILE };

void flt_att_lagged_scale_queries(size_t n, size_t m, const flt_real *lq, const flt_real *scale, flt_real *phi, flt_real *high) {
    for (size_t i = 0; i < n; i++) {
        flt_real *row = phi + i * m;
        for (size_t f = 0; f < m; f++) row[f] = lq[i * m + f] + scale[f];
        high[i] = flt_max(m, row);
        for (size_t f = 0; f < m; f++) row[f] -= high[i];
    }
    flt_vexp(n * m, phi, phi);
}

double flt_att_lagged_log_weight(size_t m, const flt_real *lq, const flt_real *lk) {
    double top = -INFINITY, sum = 0;
    for (size_t f = 0; f < m; f++) top = fmax(top, (double)lq[f] + (double)lk[f]);
    for (size_t f = 0; f < m; f++) sum += exp((double)lq[f] + (double)lk[f] - top);
    return top + log(sum);
}

// Logits of rows first.. and keys j..: logarithms of the products, where they are in range.
static void logits(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t first, size_t n, size_t j, size_t cols) {
    const size_t m = a->m;
    const flt_real least = sizeof(flt_real) == 4 ? (flt_real)1e-30 : (flt_real)1e-290, most = 1 / least;
    flt_real high[TILE], keys[TILE], *s = w->s;
    flt_att_lagged_scale_queries(n, m, w->lq + first * m, w->lk + j * m, w->phi, high);
    flt_gemm(false, true, n, cols, m, 1, w->phi, m, w->pk + j * m, m, 0, s, cols);
    for (size_t i = 0; i < n; i++) {
        flt_real *row = s + i * cols;
        memcpy(keys, row, cols * sizeof *row);
        flt_vlog(cols, row, row);
        for (size_t c = 0; c < cols; c++) row[c] += high[i];
        for (size_t c = 0; c < cols; c++)
            if (!(keys[c] > least && keys[c] < most))
                row[c] = (flt_real)flt_att_lagged_log_weight(m, w->lq + (first + i) * m, w->lk + (j + c) * m);
    }
}

// Tiles of keys are fixed by the sequence, and their scale is that of their first key, which every row that meets the tile sees:
// what a row computes never depends on its future.
void flt_att_lagged_direct(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, size_t first, size_t count,
                           flt_att_span keys, const flt_real *v, flt_real *out) {
    const size_t dv = a->dv, N = a->N;
    const flt_real *lags = a->lags + (a->heads == 1 ? 0 : head * (2 * N - 1));
    for (size_t j = keys.from; j < keys.to; j += TILE) {
        const size_t cols = flt_att_smaller(TILE, keys.to - j);
        flt_att_softmax_tile t = {.n = count, .cols = cols, .s = w->s, .causal = a->causal};
        t.valid = (ptrdiff_t)first - (ptrdiff_t)j + 1;
        t.top = w->top + first, t.sum = w->sum + first, t.keep = w->keep;
        t.bias = lags + (j + N - 1 - first), t.ldb = -1;
        logits(a, w, first, count, j, cols);
        a->tiles->softmax(&t);
        if (v == NULL) continue;
        a->tiles->scale_rows(count, dv, out + first * dv, w->keep);
        flt_gemm(false, false, count, dv, cols, 1, w->s, cols, v + j * dv, dv, 1, out + first * dv, dv);
    }
}

void flt_att_lagged_clear(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t first, size_t count, flt_real *out) {
    for (size_t i = first; i < first + count; i++) w->top[i] = (flt_real)-INFINITY, w->sum[i] = 0;
    if (out != NULL) memset(out + first * a->dv, 0, count * a->dv * sizeof *out);
}
