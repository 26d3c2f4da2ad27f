// SPDX-License-Identifier: MIT
// The element-wise work on tiles between the matrix products of attention. Every sum has a fixed order on a given machine.
#include "attention/engine/tiles.h"

#include "flt/simd.h"

// Vector i .. of a row with n elements; the last one may be partial, zeros behind it.
FLTX_INLINE flt_vreal get(const flt_real *row, size_t i, size_t n) {
    return i + FLTX_LANES <= n ? flt_vreal_load(row + i) : flt_vreal_load_part(row + i, n - i);
}

// The same with -infinity behind the end: neutral for a maximum, nothing after exp.
FLTX_INLINE flt_vreal get_log(const flt_real *row, size_t i, size_t n) {
    if (i + FLTX_LANES <= n) return flt_vreal_load(row + i);
    flt_vreal v = flt_vreal_load_part(row + i, n - i);
    for (size_t l = n - i; l < FLTX_LANES; l++) v[l] = -(flt_real)INFINITY;
    return v;
}

FLTX_INLINE void put(flt_real *row, size_t i, size_t n, flt_vreal v) {
    if (i + FLTX_LANES <= n)
        flt_vreal_store(row + i, v);
    else
        flt_vreal_store_part(row + i, v, n - i);
}

static void start(size_t n, size_t features, const flt_real *table, const flt_real *shift, flt_real *u) {
    for (size_t i = 0; i < n; i++) {
        const flt_real x = shift != NULL ? -shift[i] : 0;
        for (size_t f = 0; f < features; f++) u[i * features + f] = table != NULL ? table[i * features + f] + x : x;
    }
}

static void column_max(size_t n, size_t features, const flt_real *u, flt_real *top) {
    memcpy(top, u, features * sizeof *top);
    for (size_t i = 1; i < n; i++) {
        const flt_real *row = u + i * features;
        for (size_t f = 0; f < features; f += FLTX_LANES)
            put(top, f, features, flt_vreal_max(get(row, f, features), get(top, f, features)));
    }
}

static void column_sum(size_t n, size_t features, const flt_real *phi, flt_real *room, flt_real *z) {
    memset(room, 0, features * sizeof *room);
    for (size_t i = 0; i < n; i++) {
        for (size_t f = 0; f < features; f++) room[f] += phi[i * features + f];
    }
    for (size_t f = 0; f < features; f++) z[f] += room[f];
}

static void key_features(size_t n, size_t features, const flt_real *u, const flt_real *c, flt_real *phi) {
    const flt_vreal cap = flt_vreal_set(FLTX_ATT_CAP); // comes first in min, so that a NaN stays one
    for (size_t i = 0; i < n; i++, u += features, phi += features) {
        for (size_t f = 0; f < features; f += FLTX_LANES)
            put(phi, f, features, flt_vreal_exp(flt_vreal_min(cap, get(u, f, features) - get(c, f, features))));
    }
}

static void query_features(size_t n, size_t features, const flt_real *u, const flt_real *c, const flt_real *z, flt_real *phi,
                           flt_real *den) {
    for (size_t i = 0; i < n; i++, u += features, phi += features) {
        flt_vreal high = flt_vreal_set(-(flt_real)INFINITY), sum = {0};
        for (size_t f = 0; f < features; f += FLTX_LANES) {
            const flt_vreal x = get_log(u, f, features) + get(c, f, features);
            high = flt_vreal_max(x, high);
            put(phi, f, features, x);
        }
        const flt_vreal top = flt_vreal_set(flt_vreal_largest(high));
        for (size_t f = 0; f < features; f += FLTX_LANES) {
            const flt_vreal x = flt_vreal_exp(get_log(phi, f, features) - top);
            sum += x * get(z, f, features);
            put(phi, f, features, x);
        }
        den[i] = flt_vreal_sum(sum);
    }
}

FLTX_INLINE flt_real row_sum(size_t n, const flt_real *row) {
    flt_vreal sum = {0};
    for (size_t j = 0; j < n; j += FLTX_LANES) sum += get(row, j, n);
    return flt_vreal_sum(sum);
}

static void mask(size_t n, flt_real *a, flt_real *den) {
    for (size_t i = 0; i < n; i++, a += n) {
        memset(a + i + 1, 0, (n - i - 1) * sizeof *a);
        den[i] += row_sum(i + 1, a);
    }
}

static void scale_rows(size_t n, size_t cols, flt_real *x, const flt_real *f) {
    for (size_t i = 0; i < n; i++, x += cols) {
        if (f[i] == 1) continue;
        for (size_t j = 0; j < cols; j++) x[j] *= f[i];
    }
}

// Adds the bias to a row of logits and gives the largest.
FLTX_INLINE flt_real add_bias(size_t n, flt_real *s, const flt_real *bias) {
    flt_vreal high = flt_vreal_set(-(flt_real)INFINITY);
    for (size_t j = 0; j < n; j += FLTX_LANES) {
        flt_vreal x = get_log(s, j, n);
        if (bias != NULL) {
            x += get(bias, j, n);
            put(s, j, n, x);
        }
        high = flt_vreal_max(x, high);
    }
    return flt_vreal_largest(high);
}

FLTX_INLINE flt_real exp_row(size_t n, flt_real *s, flt_real top) {
    flt_vreal sum = {0};
    for (size_t j = 0; j < n; j += FLTX_LANES) {
        const flt_vreal x = flt_vreal_exp(get_log(s, j, n) - top);
        sum += x;
        put(s, j, n, x);
    }
    return flt_vreal_sum(sum);
}

static void softmax(const flt_att_softmax_tile *t) {
    for (size_t i = 0; i < t->n; i++) {
        flt_real *row = t->s + i * t->cols;
        const ptrdiff_t cols = (ptrdiff_t)t->cols, sees = t->causal ? t->valid + (ptrdiff_t)i : cols;
        const size_t n = (size_t)(sees < 0 ? 0 : sees < cols ? sees : cols);
        memset(row + n, 0, (t->cols - n) * sizeof *row);
        t->keep[i] = 1;
        if (n == 0) continue;
        const flt_real high = add_bias(n, row, t->bias != NULL ? t->bias + (ptrdiff_t)i * t->ldb : NULL);
        if (high > t->top[i]) {
            t->keep[i] = flt_vreal_exp(flt_vreal_set(t->top[i] - high))[0];
            t->top[i] = high;
        }
        t->sum[i] = t->sum[i] * t->keep[i] + exp_row(n, row, t->top[i]);
    }
}

const flt_att_tiles FLTX_ISA_TABLE(flt_att_tiles) = {
    .start = start,
    .column_max = column_max,
    .column_sum = column_sum,
    .key_features = key_features,
    .query_features = query_features,
    .mask = mask,
    .scale_rows = scale_rows,
    .softmax = softmax,
};
