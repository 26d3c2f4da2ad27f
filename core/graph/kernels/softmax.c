// SPDX-License-Identifier: MIT
// Softmax of rows, its loss against labels, and the gradient of the loss. A row that fits in one vector never leaves its
// register: a masked store that is read back at once would cost more than all the rest. A NaN anywhere in a row makes its sum
// NaN.
#include "flt/simd.h"
#include "graph/kernels/kernels.h"

enum { ROWS = 64 }; // whose logarithms are taken together

FLTX_INLINE flt_vreal lowest(void) {
    return flt_vreal_set((flt_real)-INFINITY);
}

FLTX_INLINE flt_vreal lanes(void) {
    static const flt_real lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return flt_vreal_load(lane);
}

// The last vector of a row, n <= FLTX_LANES elements; lanes beyond it are -inf.
FLTX_INLINE flt_vreal load_end(const flt_real *x, size_t n) {
    if (n == FLTX_LANES) return flt_vreal_load(x);
    return flt_vreal_if_less(lanes(), flt_vreal_set((flt_real)n), flt_vreal_load_part(x, n), lowest());
}

FLTX_INLINE void store_end(flt_real *y, flt_vreal v, size_t n) {
    if (n == FLTX_LANES)
        flt_vreal_store(y, v);
    else
        flt_vreal_store_part(y, v, n);
}

FLTX_INLINE flt_real largest(size_t n, const flt_real *x) {
    flt_vreal most = lowest();
    size_t i = 0;
    for (; i + FLTX_LANES <= n; i += FLTX_LANES) most = flt_vreal_max(most, flt_vreal_load(x + i));
    if (i < n) most = flt_vreal_max(most, load_end(x + i, n - i));
    return flt_vreal_largest(most);
}

// Sum of exp(x - shift); the terms go to y unless it is NULL, a constant at every call.
FLTX_INLINE flt_real sum_exp(size_t n, const flt_real *x, flt_real shift, flt_real *y) {
    flt_vreal sum = {0};
    size_t i = 0;
    for (; i + FLTX_LANES <= n; i += FLTX_LANES) {
        const flt_vreal e = flt_vreal_exp(flt_vreal_load(x + i) - shift);
        if (y != NULL) flt_vreal_store(y + i, e);
        sum += e;
    }
    if (i < n) {
        const flt_vreal e = flt_vreal_exp(load_end(x + i, n - i) - shift);
        if (y != NULL) flt_vreal_store_part(y + i, e, n - i);
        sum += e;
    }
    return flt_vreal_sum(sum);
}

FLTX_INLINE void times(size_t n, flt_real c, flt_real *y) {
    size_t i = 0;
    for (; i + FLTX_LANES <= n; i += FLTX_LANES) flt_vreal_store(y + i, c * flt_vreal_load(y + i));
    if (i < n) flt_vreal_store_part(y + i, c * flt_vreal_load_part(y + i, n - i), n - i);
}

FLTX_INLINE bool is_class(flt_real label, size_t cols) {
    return label >= 0 && label < (flt_real)cols;
}

// A row of one vector: c softmax(x), minus c at the label unless that is negative.
FLTX_INLINE void short_row(size_t n, flt_real c, flt_real label, const flt_real *x, flt_real *y) {
    const flt_vreal v = load_end(x, n), e = flt_vreal_exp(v - flt_vreal_largest(v));
    const flt_vreal p = e * (c / flt_vreal_sum(e));
    store_end(y, flt_vreal_blend((flt_vint)(lanes() == label), p - c, p), n);
}

FLTX_INLINE void row(size_t n, flt_real c, flt_real label, const flt_real *x, flt_real *y) {
    if (n <= FLTX_LANES) {
        short_row(n, c, label, x, y);
        return;
    }
    times(n, c / sum_exp(n, x, largest(n, x), y), y);
    if (label >= 0) y[(size_t)label] -= c;
}

static void softmax(size_t rows, size_t cols, const flt_real *x, flt_real *y) {
    for (size_t r = 0; r < rows; r++, x += cols, y += cols) row(cols, 1, -1, x, y);
}

static void error(size_t rows, size_t cols, flt_real c, const flt_real *label, const flt_real *x, flt_real *y) {
    for (size_t r = 0; r < rows; r++, x += cols, y += cols) {
        const bool known = is_class(label[r], cols);
        row(cols, known ? c : (flt_real)NAN, known ? (flt_real)(size_t)label[r] : -1, x, y);
    }
}

static double loss(size_t rows, size_t cols, const flt_real *label, const flt_real *x) {
    double total = 0;
    for (size_t r = 0; r < rows; r += ROWS) {
        const size_t n = rows - r < ROWS ? rows - r : ROWS;
        flt_real sum[ROWS];
        for (size_t i = 0; i < ROWS; i++) sum[i] = 1;
        for (size_t i = 0; i < n; i++, x += cols) {
            const flt_real shift = largest(cols, x), at = label[r + i];
            sum[i] = sum_exp(cols, x, shift, NULL);
            total -= is_class(at, cols) ? (double)(x[(size_t)at] - shift) : (double)NAN;
        }
        for (size_t i = 0; i < ROWS; i += FLTX_LANES) flt_vreal_store(sum + i, flt_vreal_log(flt_vreal_load(sum + i)));
        for (size_t i = 0; i < n; i++) total += (double)sum[i];
    }
    return total;
}

const flt_softmax_kernels FLTX_ISA_TABLE(flt_softmax_kernels) = {.softmax = softmax, .loss = loss, .error = error};
