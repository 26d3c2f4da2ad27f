// SPDX-License-Identifier: MIT
// Softmax of rows, its loss against labels, and the gradient of the loss. Short rows are transposed, as many as a vector has
// lanes: then nothing is left to do across lanes. A NaN anywhere in a row makes its sum NaN.
#include "flt/simd.h"
#include "graph/kernels/kernels.h"

enum {
    ROWS = 64,  // whose logarithms are taken together
    SHORT = 32, // columns of the longest rows that are transposed
    USUAL = 10, // classes that the compiler knows
};

FLTX_INLINE flt_vreal lowest(void) {
    return flt_vreal_set((flt_real)-INFINITY);
}

// ---- short rows, n <= FLTX_LANES of them side by side

typedef struct block {
    flt_vreal column[SHORT + FLTX_LANES];
    flt_vreal most, sum; // of the elements; of the exponentials
} block;

// Where the columns that come with column j, a multiple of FLTX_LANES, begin: the last ones of rows that are longer than a
// vector come with some before them, so that every vector is whole.
FLTX_INLINE size_t columns_from(size_t cols, size_t j) {
    return j + FLTX_LANES <= cols || cols < FLTX_LANES ? j : cols - FLTX_LANES;
}

// Columns j .. of n rows; both are constants where they can be.
FLTX_INLINE void read_columns(size_t n, size_t cols, size_t j, const flt_real *x, block *b) {
    flt_vreal t[FLTX_LANES];
#pragma GCC unroll 16
    for (size_t r = 0; r < FLTX_LANES; r++) {
        t[r] = flt_vreal_set(0);
        if (r < n) t[r] = flt_vreal_load_up_to(x + r * cols + j, cols - j);
    }
    flt_vreal_transpose(t);
#pragma GCC unroll 16
    for (size_t i = 0; i < FLTX_LANES; i++) b->column[j + i] = t[i];
}

FLTX_INLINE void read_rows(size_t n, size_t cols, const flt_real *x, block *b) {
    for (size_t j = 0; j < cols; j += FLTX_LANES) read_columns(n, cols, columns_from(cols, j), x, b);
}

FLTX_INLINE void read_block(size_t n, size_t cols, const flt_real *x, block *b) {
    if (n == FLTX_LANES)
        read_rows(FLTX_LANES, cols, x, b);
    else
        read_rows(n, cols, x, b);
    b->most = lowest();
    for (size_t j = 0; j < cols; j++) b->most = flt_vreal_max(b->most, b->column[j]);
}

FLTX_INLINE void write_columns(size_t n, size_t cols, size_t j, const block *b, flt_real *y) {
    flt_vreal t[FLTX_LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < FLTX_LANES; i++) t[i] = b->column[j + i];
    flt_vreal_transpose(t);
#pragma GCC unroll 16
    for (size_t r = 0; r < FLTX_LANES; r++)
        if (r < n) flt_vreal_store_up_to(y + r * cols + j, t[r], cols - j);
}

FLTX_INLINE void write_rows(size_t n, size_t cols, const block *b, flt_real *y) {
    for (size_t j = 0; j < cols; j += FLTX_LANES) write_columns(n, cols, columns_from(cols, j), b, y);
}

FLTX_INLINE void write_block(size_t n, size_t cols, const block *b, flt_real *y) {
    if (n == FLTX_LANES)
        write_rows(FLTX_LANES, cols, b, y);
    else
        write_rows(n, cols, b, y);
}

// The columns become their exponentials, added up in the order that sum_exp has: a row's bits are the same either way.
FLTX_INLINE void exponentials(size_t cols, block *b) {
    flt_vreal part[FLTX_LANES];
#pragma GCC unroll 16
    for (size_t l = 0; l < FLTX_LANES; l++) part[l] = flt_vreal_set(0);
    for (size_t j = 0; j < cols; j += FLTX_LANES) {
#pragma GCC unroll 16
        for (size_t l = 0; l < FLTX_LANES; l++) {
            if (j + l >= cols) continue;
            b->column[j + l] = flt_vreal_exp(b->column[j + l] - b->most);
            part[l] += b->column[j + l];
        }
    }
#pragma GCC unroll 4
    for (size_t h = FLTX_LANES / 2; h > 0; h /= 2) {
#pragma GCC unroll 8
        for (size_t l = 0; l < h; l++) part[l] += part[l + h];
    }
    b->sum = part[0];
}

FLTX_INLINE flt_vreal where(flt_vint mask, flt_vreal x) {
    return (flt_vreal)(mask & (flt_vint)x);
}

FLTX_INLINE flt_vreal or_nan(flt_vint known, flt_vreal x) {
    return flt_vreal_blend(known, x, flt_vreal_set((flt_real)NAN));
}

static void short_softmax(size_t rows, size_t cols, const flt_real *x, flt_real *y) {
    for (size_t r = 0; r < rows; r += FLTX_LANES, x += FLTX_LANES * cols, y += FLTX_LANES * cols) {
        const size_t n = rows - r < FLTX_LANES ? rows - r : FLTX_LANES;
        block b;
        read_block(n, cols, x, &b);
        exponentials(cols, &b);
        const flt_vreal factor = (flt_real)1 / b.sum;
        for (size_t j = 0; j < cols; j++) b.column[j] *= factor;
        write_block(n, cols, &b, y);
    }
}

FLTX_INLINE void short_error(size_t rows, size_t cols, flt_real c, const flt_real *label, const flt_real *x, flt_real *y) {
    for (size_t r = 0; r < rows; r += FLTX_LANES, x += FLTX_LANES * cols, y += FLTX_LANES * cols) {
        const size_t n = rows - r < FLTX_LANES ? rows - r : FLTX_LANES;
        const flt_vreal at = flt_vreal_load_up_to(label + r, n);
        flt_vint known = {0};
        block b;
        read_block(n, cols, x, &b);
        exponentials(cols, &b);
        for (size_t j = 0; j < cols; j++) known |= at == (flt_real)j;
        const flt_vreal factor = or_nan(known, c / b.sum);
        for (size_t j = 0; j < cols; j++) b.column[j] *= factor;
        write_block(n, cols, &b, y);
        for (size_t i = 0; i < n; i++)
            if (known[i] != 0) y[i * cols + (size_t)label[r + i]] -= c; // a product of its own, never fused with this
    }
}

// The own logits of n rows less the largest, and the logarithms of their sums.
FLTX_INLINE void short_logs(size_t n, size_t cols, const flt_real *label, const flt_real *x, flt_real *own, flt_real *log_sum) {
    const flt_vreal at = flt_vreal_load_up_to(label, n);
    flt_vreal mine = {0};
    flt_vint known = {0};
    block b;
    read_block(n, cols, x, &b);
    for (size_t j = 0; j < cols; j++) {
        const flt_vint mask = at == (flt_real)j;
        mine += where(mask, b.column[j]);
        known |= mask;
    }
    exponentials(cols, &b);
    flt_vreal_store(own, or_nan(known, mine - b.most));
    flt_vreal_store(log_sum, flt_vreal_log(b.sum));
}

FLTX_INLINE double short_loss(size_t rows, size_t cols, const flt_real *label, const flt_real *x) {
    double total = 0;
    for (size_t r = 0; r < rows; r += ROWS) {
        const size_t n = rows - r < ROWS ? rows - r : ROWS;
        flt_real own[ROWS], log_sum[ROWS];
        for (size_t i = 0; i < n; i += FLTX_LANES, x += FLTX_LANES * cols)
            short_logs(n - i < FLTX_LANES ? n - i : FLTX_LANES, cols, label + r + i, x, own + i, log_sum + i);
        for (size_t i = 0; i < n; i++) total -= (double)own[i];
        for (size_t i = 0; i < n; i++) total += (double)log_sum[i];
    }
    return total;
}

// ---- rows of any length

// The last vector of a row, n <= FLTX_LANES elements; lanes beyond it are -inf.
FLTX_INLINE flt_vreal load_end(const flt_real *x, size_t n) {
    return n == FLTX_LANES ? flt_vreal_load(x) : flt_vreal_load_part_or(x, n, (flt_real)-INFINITY);
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

FLTX_INLINE void row(size_t n, flt_real c, flt_real label, const flt_real *x, flt_real *y) {
    times(n, c / sum_exp(n, x, largest(n, x), y), y);
    if (label >= 0) y[(size_t)label] -= c;
}

static void softmax(size_t rows, size_t cols, const flt_real *x, flt_real *y) {
    if (cols <= SHORT) {
        short_softmax(rows, cols, x, y);
        return;
    }
    for (size_t r = 0; r < rows; r++, x += cols, y += cols) row(cols, 1, -1, x, y);
}

static void error(size_t rows, size_t cols, flt_real c, const flt_real *label, const flt_real *x, flt_real *y) {
    if (cols == USUAL) {
        short_error(rows, USUAL, c, label, x, y);
        return;
    }
    if (cols <= SHORT) {
        short_error(rows, cols, c, label, x, y);
        return;
    }
    for (size_t r = 0; r < rows; r++, x += cols, y += cols) {
        const bool known = is_class(label[r], cols);
        row(cols, known ? c : (flt_real)NAN, known ? (flt_real)(size_t)label[r] : -1, x, y);
    }
}

static double loss(size_t rows, size_t cols, const flt_real *label, const flt_real *x) {
    double total = 0;
    if (cols == USUAL) return short_loss(rows, USUAL, label, x);
    if (cols <= SHORT) return short_loss(rows, cols, label, x);
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
