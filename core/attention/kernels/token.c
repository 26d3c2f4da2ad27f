// SPDX-License-Identifier: MIT
// One token's products in a stream of linear attention; see engine/token.h. Every sum has a fixed order on a given machine.
#include "attention/engine/token.h"
#include "attention/engine/tiles.h"
#include "attention/kernels/rows.h"

enum {
    DEEP = 4,   // rows of a matrix that a pair meets in one sweep
    BESIDE = 4, // rows whose products with a vector wait beside one another
    STRIP = 8,  // vectors of a sum of rows that stay in registers
    AHEAD = 16, // rows of a sum that are asked for before their turn
};

// Asks for the lines of `count` numbers, `ahead` numbers after x; they may lie behind the array's end. The machine's own
// prefetching stops at every page.
FLTX_INLINE void fetch(const flt_real *x, size_t ahead, int count) {
    const uintptr_t from = (uintptr_t)x + ahead * sizeof *x;
#pragma GCC unroll 8
    for (size_t b = 0; b < (size_t)count * sizeof *x; b += 64) __builtin_prefetch((const void *)(from + b));
}

// ---- projecting

// Vector f of both: `deep` rows of w, `features` apart, weighted by x.
FLTX_INLINE void project_vector(int deep, size_t features, size_t f, size_t end, const flt_real *w, flt_vreal x[2][DEEP],
                                flt_att_pair rows) {
    flt_vreal one = get(rows.to[0], f, end), two = get(rows.to[1], f, end);
#pragma GCC unroll 4
    for (int r = 0; r < deep; r++) {
        flt_vreal y = get(w + (size_t)r * features, f, end);
        FLTX_OPAQUE(y); // used twice, read once
        one += x[0][r] * y;
        two += x[1][r] * y;
    }
    put(rows.to[0], f, end, one);
    put(rows.to[1], f, end, two);
}

FLTX_INLINE void project_rows(int deep, size_t features, flt_real gain, const flt_real *w, size_t c, flt_att_pair rows) {
    const size_t whole = features - features % FLTX_LANES;
    flt_vreal x[2][DEEP];
#pragma GCC unroll 4
    for (int r = 0; r < deep; r++) {
        x[0][r] = flt_vreal_set(gain * rows.x[0][c + (size_t)r]);
        x[1][r] = flt_vreal_set(gain * rows.x[1][c + (size_t)r]);
    }
    w += c * features;
    for (size_t f = 0; f < whole; f += FLTX_LANES) {
        fetch(w, (size_t)deep * (features + f), deep * FLTX_LANES);
        project_vector(deep, features, f, WHOLE, w, x, rows);
    }
    if (whole < features) project_vector(deep, features, whole, features, w, x, rows);
}

static void project(size_t d, size_t features, flt_real gain, const flt_real *w, flt_att_pair rows) {
    size_t c = 0;
    for (; c + DEEP <= d; c += DEEP) project_rows(DEEP, features, gain, w, c, rows);
    for (; c < d; c++) project_rows(1, features, gain, w, c, rows);
}

// ---- state

static bool above(size_t features, const flt_real *u, const flt_real *c) {
    const size_t whole = features - features % FLTX_LANES;
    flt_vint any = {0};
    for (size_t f = 0; f < whole; f += FLTX_LANES) any |= get(u, f, WHOLE) - get(c, f, WHOLE) > (flt_real)FLTX_ATT_CAP;
    if (whole < features) any |= get(u, whole, features) - get(c, whole, features) > (flt_real)FLTX_ATT_CAP;
    return flt_vint_any(any);
}

FLTX_INLINE void dot_rows(int rows, size_t cols, const flt_real *x, const flt_real *p, flt_real *y) {
    const size_t whole = cols - cols % FLTX_LANES;
    flt_vreal sum[BESIDE] = {{0}};
    for (size_t f = 0; f < whole; f += FLTX_LANES) {
        const flt_vreal weight = get(p, f, WHOLE);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) sum[r] += weight * get(x + (size_t)r * cols, f, WHOLE);
    }
    if (whole < cols) {
        const flt_vreal weight = get(p, whole, cols);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) sum[r] += weight * get(x + (size_t)r * cols, whole, cols);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) y[r] = flt_vreal_sum(sum[r]);
}

static void dots(size_t n, size_t cols, const flt_real *x, const flt_real *p, flt_real *y) {
    size_t i = 0;
    for (; i + BESIDE <= n; i += BESIDE) dot_rows(BESIDE, cols, x + i * cols, p, y + i);
    for (; i < n; i++) dot_rows(1, cols, x + i * cols, p, y + i);
}

// Vectors j .. of the sum, as many as `vectors` says.
FLTX_INLINE void combine_strip(int vectors, size_t n, size_t cols, size_t j, size_t end, const flt_real *p, const flt_real *x,
                               flt_real *out) {
    flt_vreal sum[STRIP];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sum[v] = get(out, j + (size_t)v * FLTX_LANES, end);
    for (size_t i = 0; i < n; i++, x += cols) {
        const flt_vreal weight = flt_vreal_set(p[i]);
        fetch(x, AHEAD * cols + j, vectors * FLTX_LANES);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) sum[v] += weight * get(x, j + (size_t)v * FLTX_LANES, end);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) put(out, j + (size_t)v * FLTX_LANES, end, sum[v]);
}

static void combine(size_t n, size_t cols, const flt_real *p, const flt_real *x, flt_real *out) {
    size_t j = 0;
    for (; j + STRIP * FLTX_LANES <= cols; j += STRIP * FLTX_LANES) combine_strip(STRIP, n, cols, j, WHOLE, p, x, out);
    for (; j + 2 * FLTX_LANES <= cols; j += 2 * FLTX_LANES) combine_strip(2, n, cols, j, WHOLE, p, x, out);
    for (; j < cols; j += FLTX_LANES) combine_strip(1, n, cols, j, cols, p, x, out);
}

const flt_att_token FLTX_ISA_TABLE(flt_att_token) = {.project = project, .above = above, .dots = dots, .combine = combine};
