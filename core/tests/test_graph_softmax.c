// SPDX-License-Identifier: MIT
// Kernels of softmax, its loss and its gradient against loops in long double: every number of rows around whole vectors, rows
// short and long, memory behind the last element, results over their operand.
#include "../graph/kernels/kernels.h"
#include "num_support.h"

enum { MOST_ROWS = 35, MOST_COLS = 70, BEHIND = 16 };

typedef struct sample {
    size_t rows, cols;
    flt_real *x, *y, *label;
} sample;

static const flt_softmax_kernels *kernels(void) {
    return FLTX_ISA_PICK(flt_softmax_kernels);
}

static sample make(size_t rows, size_t cols) {
    sample s = {rows, cols, reals(rows * cols), reals(rows * cols + BEHIND), reals(rows)};
    fill(rows * 100 + cols, rows * cols, s.x);
    for (size_t i = 0; i < rows * cols; i++) s.x[i] *= 20;
    for (size_t i = 0; i < rows * cols + BEHIND; i++) s.y[i] = 7;
    for (size_t r = 0; r < rows; r++) s.label[r] = (flt_real)((5 * r + 3) % cols);
    return s;
}

static void drop(sample *s) {
    flt_free(s->x);
    flt_free(s->y);
    flt_free(s->label);
}

static long double of_row(size_t n, const flt_real *x, long double *p) {
    long double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = fmaxl(most, (long double)x[i]);
    for (size_t i = 0; i < n; i++) sum += p[i] = expl((long double)x[i] - most);
    for (size_t i = 0; i < n; i++) p[i] /= sum;
    return most + logl(sum);
}

// y against c (softmax(x) - onehot(label)), no label where there is none to take off; x: what it was made from
static void judge(const sample *s, const flt_real *x, long double c, bool labels, const char *what) {
    for (size_t r = 0; r < s->rows; r++) {
        long double p[MOST_COLS];
        of_row(s->cols, x + r * s->cols, p);
        if (labels) p[(size_t)s->label[r]] -= 1;
        for (size_t i = 0; i < s->cols; i++) {
            const double ratio = ratio_of(s->y[r * s->cols + i], c * p[i], (double)s->cols + 60, (double)c);
            cr_assert(le(dbl, ratio, PASS), "%s [%zu, %zu], row %zu, column %zu: ratio %g", what, s->rows, s->cols, r, i, ratio);
        }
    }
    for (size_t i = 0; i < BEHIND; i++)
        cr_assert(s->y[s->rows * s->cols + i] == 7, "%s [%zu, %zu]: element %zu behind the end was written", what, s->rows,
                  s->cols, i);
}

static void judge_loss(const sample *s) {
    long double want = 0, p[MOST_COLS];
    for (size_t r = 0; r < s->rows; r++)
        want += of_row(s->cols, s->x + r * s->cols, p) - (long double)s->x[r * s->cols + (size_t)s->label[r]];
    const double got = kernels()->loss(s->rows, s->cols, s->label, s->x);
    const double ratio = ratio_of((flt_real)got, want, (double)s->cols + 60, (double)s->rows);
    cr_assert(le(dbl, ratio, PASS), "loss [%zu, %zu]: %g, not %g, ratio %g", s->rows, s->cols, got, (double)want, ratio);
}

static void try_size(size_t rows, size_t cols) {
    sample s = make(rows, cols);
    kernels()->softmax(rows, cols, s.x, s.y);
    judge(&s, s.x, 1, false, "softmax");
    kernels()->error(rows, cols, (flt_real)0.25, s.label, s.x, s.y);
    judge(&s, s.x, 0.25L, true, "gradient");
    judge_loss(&s);
    memcpy(s.y, s.x, rows * cols * sizeof *s.y);
    kernels()->softmax(rows, cols, s.y, s.y);
    judge(&s, s.x, 1, false, "softmax in place");
    drop(&s);
}

static void all_sizes(void) {
    for (size_t rows = 1; rows <= MOST_ROWS; rows += 1 + rows / 10)
        for (size_t cols = 1; cols <= 41; cols++) try_size(rows, cols);
    try_size(3, 70);
    try_size(MOST_ROWS, 64);
}
TEST_EVERY_ISA(graph_softmax, all_sizes, all_sizes)

// a row knows nothing of the rows beside it
static void rows_are_independent(void) {
    for (size_t cols = 2; cols <= 34; cols += 8) {
        sample s = make(MOST_ROWS, cols);
        flt_real alone[MOST_COLS];
        kernels()->softmax(MOST_ROWS, cols, s.x, s.y);
        for (size_t r = 0; r < MOST_ROWS; r++) {
            kernels()->softmax(1, cols, s.x + r * cols, alone);
            cr_assert(eq(int, memcmp(alone, s.y + r * cols, cols * sizeof *alone), 0), "%zu columns, row %zu", cols, r);
        }
        drop(&s);
    }
}
TEST_EVERY_ISA(graph_softmax, rows_are_independent, rows_are_independent)

// Short rows are taken side by side, long ones alone: columns of minus infinity, which make a row long, change no bit of it.
static void same_bits_either_way(void) {
    enum { ROWS = 13, WIDE = 41 };
    for (size_t cols = 1; cols <= 32; cols++) {
        sample s = make(ROWS, cols), wide = make(ROWS, WIDE);
        for (size_t i = 0; i < ROWS * WIDE; i++)
            wide.x[i] = i % WIDE < cols ? s.x[i / WIDE * cols + i % WIDE] : (flt_real)-INFINITY;
        for (int gradient = 0; gradient < 2; gradient++) {
            if (gradient) kernels()->error(ROWS, cols, (flt_real)0.3, s.label, s.x, s.y);
            if (gradient) kernels()->error(ROWS, WIDE, (flt_real)0.3, s.label, wide.x, wide.y);
            if (!gradient) kernels()->softmax(ROWS, cols, s.x, s.y);
            if (!gradient) kernels()->softmax(ROWS, WIDE, wide.x, wide.y);
            for (size_t r = 0; r < ROWS; r++)
                cr_assert(eq(int, memcmp(s.y + r * cols, wide.y + r * WIDE, cols * sizeof *s.y), 0), "%zu columns, row %zu", cols,
                          r);
        }
        const double narrow = kernels()->loss(ROWS, cols, s.label, s.x), broad = kernels()->loss(ROWS, WIDE, s.label, wide.x);
        cr_assert(narrow == broad, "%zu columns: losses %.17g and %.17g", cols, narrow, broad);
        drop(&s);
        drop(&wide);
    }
}
TEST_EVERY_ISA(graph_softmax, same_bits_either_way, same_bits_either_way)

// labels that are no class make their own rows NaN, and the loss
static void no_class(void) {
    static const size_t widths[] = {1, 10, 40};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const size_t cols = widths[w];
        const flt_real labels[] = {(flt_real)cols, -1, (flt_real)NAN, (flt_real)1e30};
        for (size_t k = 0; k < sizeof labels / sizeof *labels; k++) {
            sample s = make(11, cols);
            s.label[9] = labels[k];
            kernels()->error(11, cols, 1, s.label, s.x, s.y);
            for (size_t i = 0; i < 11 * cols; i++)
                cr_assert(isnan((double)s.y[i]) == (i / cols == 9), "label %g of %zu classes, element %zu: %g", (double)labels[k],
                          cols, i, (double)s.y[i]);
            cr_assert(isnan(kernels()->loss(11, cols, s.label, s.x)), "label %g of %zu classes", (double)labels[k], cols);
            drop(&s);
        }
    }
}
TEST_EVERY_ISA(graph_softmax, no_class, no_class)

// logits far apart, of minus infinity, not numbers
static void extremes(void) {
    static const size_t widths[] = {3, 10, 40};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const size_t cols = widths[w];
        sample s = make(12, cols);
        for (size_t i = 0; i < cols; i++) s.x[2 * cols + i] = i == 1 ? 0 : (flt_real)-INFINITY;
        s.x[5 * cols + 2] = (flt_real)NAN;
        for (size_t i = 0; i < cols; i++) s.x[7 * cols + i] = i == 0 ? (flt_real)3e38 : (flt_real)-3e38;
        kernels()->softmax(12, cols, s.x, s.y);
        for (size_t i = 0; i < cols; i++) {
            cr_assert(s.y[2 * cols + i] == (i == 1), "%zu columns, a row of -inf, column %zu: %g", cols, i,
                      (double)s.y[2 * cols + i]);
            cr_assert(isnan((double)s.y[5 * cols + i]), "%zu columns, a row with NaN, column %zu", cols, i);
            cr_assert(s.y[7 * cols + i] == (i == 0), "%zu columns, a wide row, column %zu", cols, i);
            cr_assert(isfinite((double)s.y[6 * cols + i]), "%zu columns: NaN spreads to the row behind it", cols);
        }
        drop(&s);
    }
}
TEST_EVERY_ISA(graph_softmax, extremes, extremes)
