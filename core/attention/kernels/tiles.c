// SPDX-License-Identifier: MIT
// The element-wise work on tiles between the matrix products of attention. Every sum has a fixed order on a given machine.
#include "attention/engine/tiles.h"
#include "attention/kernels/rows.h"

#include "flt/plant.h"

enum {
    STRIP = 4,  // vectors of a row that column sums go down at once
    BESIDE = 4, // rows that are worked on at once
};

// Vector i .. of a row, with -infinity behind the end: neutral for a maximum, nothing after exp.
FLTX_INLINE flt_vreal get_log(const flt_real *row, size_t i, size_t n) {
    return i + FLTX_LANES <= n ? flt_vreal_load(row + i) : flt_vreal_load_part_or(row + i, n - i, -(flt_real)INFINITY);
}

static void start(size_t n, size_t features, const flt_real *table, const flt_real *shift, flt_real *u) {
    for (size_t i = 0; i < n; i++) {
        const flt_real x = shift != NULL ? -shift[i] : 0;
        for (size_t f = 0; f < features; f++) u[i * features + f] = table != NULL ? table[i * features + f] + x : x;
    }
}

static void unfold(size_t n, size_t features, const flt_real *even, const flt_real *odd, flt_real *u) {
    const size_t half = (n + 1) / 2;
    for (size_t s = 0; s < half; s++, even += features, odd += features) {
        flt_real *before = u + (half - 1 - s) * features, *behind = u + (half + s) * features;
        for (size_t f = 0; f < features; f++) before[f] = even[f] - odd[f];
        for (size_t f = 0; half + s < n && f < features; f++) behind[f] = even[f] + odd[f];
    }
}

// Vectors f .. of every row, as many as `vectors` says: their largest values or their sums stay in registers down the rows.
FLTX_INLINE void column_strip(size_t n, size_t features, const flt_real *x, size_t f, size_t end, int vectors, bool max,
                              flt_real *out) {
    flt_vreal acc[STRIP];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) acc[v] = get(x, f + (size_t)v * FLTX_LANES, end);
    for (size_t i = 1; i < n; i++) {
        x += features;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const flt_vreal y = get(x, f + (size_t)v * FLTX_LANES, end);
            acc[v] = max ? flt_vreal_max(y, acc[v]) : acc[v] + y;
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        const size_t at = f + (size_t)v * FLTX_LANES;
        put(out, at, end, max ? acc[v] : get(out, at, end) + acc[v]);
    }
}

static void column_max(size_t n, size_t features, const flt_real *u, flt_real *top) {
    size_t f = 0;
    for (; f + STRIP * FLTX_LANES <= features; f += STRIP * FLTX_LANES) column_strip(n, features, u, f, WHOLE, STRIP, true, top);
    for (; f < features; f += FLTX_LANES) column_strip(n, features, u, f, features, 1, true, top);
}

static void column_sum(size_t n, size_t features, const flt_real *phi, flt_real *z) {
    size_t f = 0;
    if (n == 0) return;
    for (; f + STRIP * FLTX_LANES <= features; f += STRIP * FLTX_LANES) column_strip(n, features, phi, f, WHOLE, STRIP, false, z);
    for (; f < features; f += FLTX_LANES) column_strip(n, features, phi, f, features, 1, false, z);
}

static void key_features(size_t n, size_t features, const flt_real *u, const flt_real *c, flt_real *phi) {
    const flt_vreal cap = flt_vreal_set(FLTX_ATT_CAP); // comes first in min, so that a NaN stays one
    for (size_t i = 0; i < n; i++, u += features, phi += features) {
        size_t f = 0;
        for (; f + FLTX_LANES <= features; f += FLTX_LANES)
            put(phi, f, WHOLE, flt_vreal_exp(flt_vreal_min(cap, get(u, f, WHOLE) - get(c, f, WHOLE))));
        if (f < features) put(phi, f, features, flt_vreal_exp(flt_vreal_min(cap, get(u, f, features) - get(c, f, features))));
    }
}

// Vectors f .. of every row, as many as `vectors` says; their sums stay in registers. Returns the largest exponents.
FLTX_INLINE flt_vreal key_strip(size_t n, size_t features, const flt_real *u, const flt_real *c, size_t f, size_t end,
                                int vectors, flt_real *phi, size_t ldphi, flt_real *sum) {
    flt_vreal acc[STRIP], shift[STRIP], x[STRIP], high = flt_vreal_set(-(flt_real)INFINITY);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) acc[v] = flt_vreal_set(0), shift[v] = get(c, f + (size_t)v * FLTX_LANES, end);
    for (size_t i = 0; i < n; i++, u += features, phi += ldphi) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            x[v] = get(u, f + (size_t)v * FLTX_LANES, end) - shift[v];
            high = flt_vreal_max(x[v], high);
        }
        flt_vreal_exp_small(vectors, x);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            acc[v] += x[v];
            put(phi, f + (size_t)v * FLTX_LANES, end, x[v]);
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) put(sum, f + (size_t)v * FLTX_LANES, end, acc[v]);
    return high;
}

static bool key_sums(size_t n, size_t features, const flt_real *u, const flt_real *c, flt_real *phi, size_t ldphi,
                     flt_real *sum) {
    flt_vreal high = flt_vreal_set(-(flt_real)INFINITY);
    size_t f = 0;
    for (; f + STRIP * FLTX_LANES <= features; f += STRIP * FLTX_LANES)
        high = flt_vreal_max(key_strip(n, features, u, c, f, WHOLE, STRIP, phi, ldphi, sum), high);
    for (; f < features; f += FLTX_LANES)
        high = flt_vreal_max(key_strip(n, features, u, c, f, features, 1, phi, ldphi, sum), high);
    return flt_vreal_largest(high) > FLTX_ATT_CAP;
}

// Vector f of `rows` rows: the largest u + c so far.
FLTX_INLINE void raise_vector(int rows, size_t features, size_t f, size_t end, const flt_real *u, const flt_real *c,
                              flt_vreal *high) {
    const flt_vreal shift = get(c, f, end);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) high[r] = flt_vreal_max(get_log(u + (size_t)r * features, f, end) + shift, high[r]);
}

// The same vector: phi = exp(u + c - top), and its share of phi . z.
FLTX_INLINE void weigh_vector(int rows, size_t features, size_t f, size_t end, const flt_real *u, const flt_real *c,
                              const flt_real *z, const flt_vreal *top, flt_real *phi, size_t ldphi, flt_vreal *sum) {
    const flt_vreal shift = get(c, f, end), weight = get(z, f, end);
    flt_vreal x[BESIDE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) x[r] = get_log(u + (size_t)r * features, f, end) + shift - top[r];
    flt_vreal_exp_small(rows, x);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        sum[r] += x[r] * weight;
        put(phi + (size_t)r * ldphi, f, end, x[r]);
    }
}

// `rows` rows at once, so that one's sums across lanes wait beside another's work.
FLTX_INLINE void query_rows(int rows, size_t features, const flt_real *u, const flt_real *c, const flt_real *z, flt_real *phi,
                            size_t ldphi, flt_real *den) {
    const size_t whole = features - features % FLTX_LANES;
    flt_vreal high[BESIDE], top[BESIDE], sum[BESIDE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) high[r] = flt_vreal_set(-(flt_real)INFINITY), sum[r] = flt_vreal_set(0);
    for (size_t f = 0; f < whole; f += FLTX_LANES) raise_vector(rows, features, f, WHOLE, u, c, high);
    if (whole < features) raise_vector(rows, features, whole, features, u, c, high);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) top[r] = flt_vreal_set(flt_vreal_largest(high[r]));
    for (size_t f = 0; f < whole; f += FLTX_LANES) weigh_vector(rows, features, f, WHOLE, u, c, z, top, phi, ldphi, sum);
    if (whole < features) weigh_vector(rows, features, whole, features, u, c, z, top, phi, ldphi, sum);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) den[r] = flt_vreal_sum(sum[r]);
}

static void query_features_far(size_t n, size_t features, const flt_real *u, const flt_real *c, const flt_real *z, flt_real *phi,
                               size_t ldphi, flt_real *den) {
    size_t i = 0;
    for (; i + BESIDE <= n; i += BESIDE) query_rows(BESIDE, features, u + i * features, c, z, phi + i * ldphi, ldphi, den + i);
    for (; i < n; i++) query_rows(1, features, u + i * features, c, z, phi + i * ldphi, ldphi, den + i);
}

static void query_features(size_t n, size_t features, const flt_real *u, const flt_real *c, const flt_real *z, flt_real *phi,
                           flt_real *den) {
    query_features_far(n, features, u, c, z, phi, features, den);
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

// The largest logit of a row has become `high`. The scale of what is gathered moves only when it has to: a few decades are no
// loss, and most tiles then leave their row's output alone.
FLTX_INLINE void raise_top(const flt_att_softmax_tile *t, size_t i, flt_real high) {
    t->keep[i] = 1;
    if (!(high - FLTX_ATT_SLACK > t->top[i])) return;
    t->keep[i] = flt_vreal_exp(flt_vreal_set(t->top[i] - high))[0];
    t->top[i] = high;
}

// Vector j of `rows` rows: logits with their bias, and the largest so far.
FLTX_INLINE void bias_vector(int rows, size_t cols, size_t j, size_t end, const flt_real *bias, ptrdiff_t ldb, flt_real *s,
                             flt_vreal *high) {
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        flt_vreal x = get_log(s + (size_t)r * cols, j, end);
        if (bias != NULL) {
            x += get(bias + r * ldb, j, end);
            put(s + (size_t)r * cols, j, end, x);
        }
        high[r] = flt_vreal_max(x, high[r]);
    }
}

// The same vector: s = exp(s - top), and their sums.
FLTX_INLINE void exp_vector(int rows, size_t cols, size_t j, size_t end, const flt_vreal *top, flt_real *s, flt_vreal *sum) {
    flt_vreal x[BESIDE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) x[r] = get_log(s + (size_t)r * cols, j, end) - top[r];
    flt_vreal_exp_small(rows, x);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        sum[r] += x[r];
        put(s + (size_t)r * cols, j, end, x[r]);
    }
}

// Columns 0 .. n - 1 of rows i .. i + rows - 1, side by side as in query_rows.
FLTX_INLINE void softmax_rows(const flt_att_softmax_tile *t, size_t i, int rows, size_t n) {
    const size_t cols = t->cols, whole = n - n % FLTX_LANES;
    flt_real *s = t->s + i * cols;
    const flt_real *bias = t->bias != NULL ? t->bias + (ptrdiff_t)i * t->ldb : NULL;
    flt_vreal high[BESIDE], top[BESIDE], sum[BESIDE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) high[r] = flt_vreal_set(-(flt_real)INFINITY), sum[r] = flt_vreal_set(0);
    for (size_t j = 0; bias != NULL && j < whole; j += FLTX_LANES) bias_vector(rows, cols, j, WHOLE, bias, t->ldb, s, high);
    for (size_t j = 0; bias == NULL && j < whole; j += FLTX_LANES) bias_vector(rows, cols, j, WHOLE, NULL, 0, s, high);
    if (whole < n) bias_vector(rows, cols, whole, n, bias, t->ldb, s, high);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        raise_top(t, i + (size_t)r, flt_vreal_largest(high[r]));
        top[r] = flt_vreal_set(FLTX_BUG(NO_MAXIMUM) ? 0 : t->top[i + (size_t)r]);
    }
    for (size_t j = 0; j < whole; j += FLTX_LANES) exp_vector(rows, cols, j, WHOLE, top, s, sum);
    if (whole < n) exp_vector(rows, cols, whole, n, top, s, sum);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        t->sum[i + (size_t)r] =
            t->sum[i + (size_t)r] * (FLTX_BUG(STALE_SUM) ? 1 : t->keep[i + (size_t)r]) + flt_vreal_sum(sum[r]);
}

// How many of the columns row i may see.
FLTX_INLINE size_t seen(size_t cols, bool causal, ptrdiff_t valid, size_t i) {
    const ptrdiff_t sees = causal ? valid + (ptrdiff_t)i : (ptrdiff_t)cols;
    return sees < 0 ? 0 : sees < (ptrdiff_t)cols ? (size_t)sees : cols;
}

static void softmax(const flt_att_softmax_tile *t) {
    for (size_t i = 0; i < t->n;) {
        const size_t cols = t->cols, n = seen(cols, t->causal, t->valid, i);
        if (n == cols && i + BESIDE <= t->n) {
            softmax_rows(t, i, BESIDE, cols);
            i += BESIDE;
            continue;
        }
        memset(t->s + i * cols + n, 0, (cols - n) * sizeof *t->s);
        t->keep[i] = 1;
        if (n > 0) softmax_rows(t, i, 1, n);
        i++;
    }
}

// Vector j of `rows` rows. Behind the end of a row are products of one, which no check minds, and factors of zero.
FLTX_INLINE void lag_vector(int rows, size_t cols, size_t j, size_t end, const flt_real *s, const flt_real *factor, flt_real *to,
                            flt_vreal *low, flt_vreal *sum) {
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        const flt_real *row = s + (size_t)r * cols;
        const flt_vreal x = j + FLTX_LANES <= end ? flt_vreal_load(row + j) : flt_vreal_load_part_or(row + j, end - j, 1);
        const flt_vreal w = x * get(factor - r, j, end);
        low[r] = flt_vreal_min(x, low[r]);
        sum[r] += w;
        if (to != NULL) put(to + (size_t)r * cols, j, end, w);
    }
}

// Columns 0 .. n - 1 of rows i .. i + rows - 1.
FLTX_INLINE void lag_rows(const flt_att_lag_tile *t, size_t i, int rows, size_t n, bool store) {
    const size_t cols = t->cols, whole = n - n % FLTX_LANES;
    const flt_real *s = t->s + i * cols, *factor = t->factor - i;
    flt_real *to = store ? t->to + i * cols : NULL;
    flt_vreal low[BESIDE], sum[BESIDE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) low[r] = flt_vreal_set((flt_real)INFINITY), sum[r] = flt_vreal_set(0);
    for (size_t j = 0; j < whole; j += FLTX_LANES) lag_vector(rows, cols, j, WHOLE, s, factor, to, low, sum);
    if (whole < n) lag_vector(rows, cols, whole, n, s, factor, to, low, sum);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        t->low[i + (size_t)r] = -flt_vreal_largest(-low[r]);
        t->sum[i + (size_t)r] = flt_vreal_sum(sum[r]);
    }
}

FLTX_INLINE void weigh_lag_tile(const flt_att_lag_tile *t, bool store) {
    for (size_t i = 0; i < t->n;) {
        const size_t cols = t->cols, n = seen(cols, t->causal, t->valid, i);
        if (n == cols && i + BESIDE <= t->n) {
            lag_rows(t, i, BESIDE, cols, store);
            i += BESIDE;
            continue;
        }
        if (store) memset(t->to + i * cols + n, 0, (cols - n) * sizeof *t->to);
        lag_rows(t, i, 1, n, store);
        i++;
    }
}

static void lag_weights(const flt_att_lag_tile *t) {
    if (t->to != NULL)
        weigh_lag_tile(t, true);
    else
        weigh_lag_tile(t, false);
}

FLTX_INLINE void weighted_strip(size_t n, const flt_real *x, const flt_real *phi, size_t ldphi, size_t f, size_t end, int vectors,
                                flt_real *z) {
    flt_vreal acc[STRIP];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) acc[v] = flt_vreal_set(0);
    for (size_t i = 0; i < n; i++, phi += ldphi) {
        const flt_vreal weight = flt_vreal_set(x != NULL ? x[i] : 1);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) acc[v] += weight * get(phi, f + (size_t)v * FLTX_LANES, end);
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        const size_t at = f + (size_t)v * FLTX_LANES;
        put(z, at, end, get(z, at, end) + acc[v]);
    }
}

static void weighted_sum(size_t n, size_t features, const flt_real *x, const flt_real *phi, size_t ldphi, flt_real *z) {
    size_t f = 0;
    for (; f + STRIP * FLTX_LANES <= features; f += STRIP * FLTX_LANES) weighted_strip(n, x, phi, ldphi, f, WHOLE, STRIP, z);
    for (; f < features; f += FLTX_LANES) weighted_strip(n, x, phi, ldphi, f, features, 1, z);
}

static void row_sums(size_t n, size_t cols, const flt_real *x, flt_real *sums) {
    for (size_t i = 0; i < n; i++) sums[i] = row_sum(cols, x + i * cols);
}

static void divide_gradients(size_t n, size_t cols, const flt_real *dout, const flt_real *out, const flt_real *den, flt_real *g,
                             flt_real *e) {
    for (size_t i = 0; i < n; i++, dout += cols, out += cols, g += cols) {
        const flt_real by = 1 / den[i];
        flt_vreal sum = {0};
        for (size_t c = 0; c < cols; c += FLTX_LANES) {
            const flt_vreal x = by * get(dout, c, cols);
            sum += x * get(out, c, cols);
            put(g, c, cols, x);
        }
        e[i] = FLTX_BUG(BACKWARD_NO_ROW_TERM) ? 0 : -flt_vreal_sum(sum);
    }
}

static void weigh(size_t n, size_t features, const flt_real *phi, size_t ldphi, const flt_real *x, const flt_real *z,
                  flt_real *du) {
    for (size_t i = 0; i < n; i++, phi += ldphi, du += features) {
        const flt_real by = x != NULL ? x[i] : 1;
        for (size_t f = 0; f < features; f++) du[f] = phi[f] * (du[f] + by * z[f]);
    }
}

static void softmax_back(size_t n, size_t cols, const flt_real *s, const flt_real *term, flt_real *ds) {
    for (size_t i = 0; i < n; i++, s += cols, ds += cols) {
        const flt_real less = term[i];
        for (size_t j = 0; j < cols; j++) ds[j] = s[j] * (ds[j] - less);
    }
}

static bool all_above(size_t n, const flt_real *x, flt_real least) {
    const size_t whole = n - n % FLTX_LANES;
    flt_vint above = ~(flt_vint){0};
    for (size_t i = 0; i < whole; i += FLTX_LANES) above &= get(x, i, WHOLE) > least;
    if (whole < n) above &= flt_vreal_load_part_or(x + whole, n - whole, (flt_real)INFINITY) > least;
    return !flt_vint_any(~above);
}

// Vectors j .. of a row, as many as `vectors` says.
FLTX_INLINE void weigh_lag_strip(size_t j, size_t end, int vectors, const flt_real *bias, flt_real base, flt_real term,
                                 flt_real *s, flt_real *ds, flt_real *dl) {
    flt_vreal e[STRIP];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) e[v] = get(bias, j + (size_t)v * FLTX_LANES, end) + base;
    flt_vreal_exp_small(vectors, e);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        const size_t at = j + (size_t)v * FLTX_LANES;
        const flt_vreal x = get(s, at, end), g = e[v] * (get(ds, at, end) - term);
        if (dl != NULL) put(dl, at, end, x * g);
        put(ds, at, end, g);
        put(s, at, end, x * e[v]);
    }
}

static void weigh_lags(size_t n, size_t cols, const flt_real *bias, const flt_real *base, const flt_real *term, flt_real *s,
                       flt_real *ds, flt_real *dl) {
    for (size_t i = 0; i < n; i++, bias--, s += cols, ds += cols) {
        flt_real *to = dl != NULL ? dl + i * cols : NULL;
        size_t j = 0;
        for (; j + STRIP * FLTX_LANES <= cols; j += STRIP * FLTX_LANES)
            weigh_lag_strip(j, WHOLE, STRIP, bias, base[i], term[i], s, ds, to);
        for (; j < cols; j += FLTX_LANES) weigh_lag_strip(j, cols, 1, bias, base[i], term[i], s, ds, to);
    }
}

// Four rows at once, each one number further along than the next, wherever all four have one.
static void add_diagonals(size_t n, size_t cols, const flt_real *x, double *sums) {
    size_t i = 0;
    for (; i + 4 <= n && cols >= 4; i += 4) {
        const flt_real *x0 = x + i * cols, *x1 = x0 + cols, *x2 = x1 + cols, *x3 = x2 + cols;
        double *to = sums + (n - 4 - i);
        for (size_t j = 3; j < cols; j++) to[j] += (double)((x3[j] + x2[j - 1]) + (x1[j - 2] + x0[j - 3]));
        for (size_t r = 0; r < 4; r++) {
            for (size_t j = 0; j < r; j++) to[j + 3 - r] += (double)x0[r * cols + j];
            for (size_t j = cols - 3 + r; j < cols; j++) to[j + 3 - r] += (double)x0[r * cols + j];
        }
    }
    for (; i < n; i++) {
        for (size_t j = 0; j < cols; j++) sums[n - 1 - i + j] += (double)x[i * cols + j];
    }
}

const flt_att_tiles FLTX_ISA_TABLE(flt_att_tiles) = {
    .start = start,
    .unfold = unfold,
    .column_max = column_max,
    .column_sum = column_sum,
    .weighted_sum = weighted_sum,
    .weigh = weigh,
    .row_sums = row_sums,
    .divide_gradients = divide_gradients,
    .key_features = key_features,
    .key_sums = key_sums,
    .query_features = query_features,
    .query_features_far = query_features_far,
    .mask = mask,
    .scale_rows = scale_rows,
    .softmax = softmax,
    .lag_weights = lag_weights,
    .softmax_back = softmax_back,
    .all_above = all_above,
    .weigh_lags = weigh_lags,
    .add_diagonals = add_diagonals,
};
