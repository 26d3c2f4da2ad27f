// SPDX-License-Identifier: MIT
// flt_gemm against triple loops in long double, over transposes, sizes, strides, alpha and beta; flt_gemm_onto against flt_gemm.
#include "num_support.h"

#include <omp.h>
#include <pthread.h>

typedef struct product {
    bool ta, tb;
    size_t m, n, k, lda, ldb, ldc;
    double alpha, beta;
    flt_real *a, *b, *c;
} product;

static void make(product *p, size_t pad) {
    p->lda = (p->ta ? p->m : p->k) + pad;
    p->ldb = (p->tb ? p->k : p->n) + pad;
    p->ldc = p->n + pad;
    p->a = reals(p->lda * (p->ta ? p->k : p->m));
    p->b = reals(p->ldb * (p->tb ? p->n : p->k));
    p->c = reals(p->ldc * p->m);
    fill(1, p->lda * (p->ta ? p->k : p->m), p->a);
    fill(2, p->ldb * (p->tb ? p->n : p->k), p->b);
    fill(3, p->ldc * p->m, p->c);
}

static void drop(product *p) {
    flt_free(p->a);
    flt_free(p->b);
    flt_free(p->c);
}

static void run(const product *p) {
    flt_gemm(p->ta, p->tb, p->m, p->n, p->k, (flt_real)p->alpha, p->a, p->lda, p->b, p->ldb, (flt_real)p->beta, p->c, p->ldc);
}

// Largest ratio over C; the scale of an element is the sum of the magnitudes that enter it, the growth k + 1.
static double judge(const product *p, const flt_real *old) {
    double worst = 0;
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            long double sum = 0, size = 0;
            for (size_t l = 0; l < p->k; l++) {
                const long double x = p->ta ? p->a[l * p->lda + i] : p->a[i * p->lda + l];
                const long double y = p->tb ? p->b[j * p->ldb + l] : p->b[l * p->ldb + j];
                sum += p->alpha * x * y;
                size += fabsl(p->alpha * x * y);
            }
            if (p->beta != 0) sum += p->beta * old[i * p->ldc + j], size += fabsl(p->beta * old[i * p->ldc + j]);
            worst = fmax(worst, ratio_of(p->c[i * p->ldc + j], sum, (double)p->k + 1, (double)size + 1e-30));
        }
    return worst;
}

// The same product onto a sum elsewhere, and in its place: the same bits, nothing beside them.
static void try_onto(const product *p, const flt_real *old) {
    const size_t bytes = p->ldc * p->m * sizeof *old;
    flt_real *c = reals(p->ldc * p->m);
    for (int place = 0; place < 2; place++) {
        for (size_t i = 0; i < p->m; i++)
            for (size_t j = 0; j < p->ldc; j++) c[i * p->ldc + j] = place == 1 || j >= p->n ? old[i * p->ldc + j] : (flt_real)NAN;
        flt_gemm_onto(p->ta, p->tb, p->m, p->n, p->k, p->a, p->lda, p->b, p->ldb, place == 1 ? c : old, c, p->ldc);
        cr_assert(eq(int, memcmp(c, p->c, bytes), 0), "ta=%d tb=%d m=%zu n=%zu k=%zu, in place %d", p->ta, p->tb, p->m, p->n,
                  p->k, place);
    }
    flt_free(c);
}

static void try_one(product p, size_t pad) {
    make(&p, pad);
    flt_real *old = reals(p.ldc * p.m);
    if (p.beta == 0)
        for (size_t i = 0; i < p.m; i++)
            for (size_t j = 0; j < p.n; j++) p.c[i * p.ldc + j] = (flt_real)NAN;
    memcpy(old, p.c, p.ldc * p.m * sizeof *old);
    run(&p);
    const double ratio = judge(&p, old);
    cr_assert(le(dbl, ratio, PASS), "ta=%d tb=%d m=%zu n=%zu k=%zu pad=%zu alpha=%g beta=%g: ratio %g", p.ta, p.tb, p.m, p.n, p.k,
              pad, p.alpha, p.beta, ratio);
    for (size_t i = 0; i < p.m; i++)
        for (size_t j = p.n; j < p.ldc; j++)
            cr_assert(eq(int, memcmp(&p.c[i * p.ldc + j], &old[i * p.ldc + j], sizeof *old), 0),
                      "ta=%d tb=%d m=%zu n=%zu k=%zu: the padding of C was written", p.ta, p.tb, p.m, p.n, p.k);
    if (p.alpha == 1 && p.beta == 1) try_onto(&p, old);
    flt_free(old);
    drop(&p);
}

static void try_all(size_t m, size_t n, size_t k) {
    static const double scales[][2] = {{1, 0}, {1, 1}, {-0.5, 0}, {1, -2}, {0, 0}, {0, 1}};
    for (int t = 0; t < 4; t++)
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
            for (size_t pad = 0; pad <= 3; pad += 3)
                try_one((product){.ta = t & 1, .tb = t >> 1, .m = m, .n = n, .k = k, .alpha = scales[s][0], .beta = scales[s][1]},
                        pad);
}

static void odd_sizes(void) {
    static const size_t sizes[] = {1, 2, 3, 7, 16, 17, 33};
    enum { N = sizeof sizes / sizeof *sizes };
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            for (size_t l = 0; l < N; l++) try_all(sizes[i], sizes[j], sizes[l]);
}
TEST_EVERY_ISA(num_gemm, odd_sizes, odd_sizes)

// the 64-32-10 network, and what makes the kernels cut into blocks and copy: more than 128 rows, 256 terms, rows of more than 256
static void larger_sizes(void) {
    static const size_t sizes[][3] = {{64, 32, 64},  {64, 10, 32},  {32, 10, 64},   {64, 32, 10}, {130, 33, 260},
                                      {270, 40, 10}, {20, 270, 10}, {270, 10, 260}, {129, 7, 20}, {130, 15, 33}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) try_all(sizes[s][0], sizes[s][1], sizes[s][2]);
    for (int t = 0; t < 4; t++)
        try_one((product){.ta = t & 1, .tb = t >> 1, .m = 170, .n = 170, .k = 150, .alpha = 1, .beta = 1}, 0); // left to OpenBLAS
}
TEST_EVERY_ISA(num_gemm, larger_sizes, larger_sizes)

// a row of a product does not depend on the rows around it, not even where those have it computed as a column
static void rows_of(size_t n) {
    enum { M = 45 };
    const size_t k = strcmp(flt_num_isa(), "portable") == 0 ? 19 : 300; // what our kernels keep to themselves
    for (int t = 0; t < 4; t++) {
        product all = {.ta = t & 1, .tb = t >> 1, .m = M, .n = n, .k = k, .alpha = (flt_real)0.3};
        make(&all, 0);
        run(&all);
        for (size_t rows = 2; rows <= 17; rows++) {
            product some = all;
            some.m = rows;
            some.a += all.ta ? 5 : 5 * all.lda;
            some.c = reals(rows * n);
            run(&some);
            cr_assert(eq(int, memcmp(some.c, all.c + 5 * all.ldc, rows * n * sizeof *all.c), 0), "ta=%d tb=%d rows=%zu", all.ta,
                      all.tb, rows);
            flt_free(some.c);
        }
        drop(&all);
    }
}

static void rows_are_independent(void) {
    rows_of(37);
    rows_of(10);
}
TEST_EVERY_ISA(num_gemm, rows_are_independent, rows_are_independent)

// alpha A B + D - s with B in panels: that of flt_gemm, which the sizes keep to our kernels, and the rest in this order
static void try_panels(size_t m, size_t n, size_t k, bool with_d, bool with_s, size_t pad) {
    product p = {.m = m, .n = n, .k = k, .alpha = (flt_real)-0.7};
    make(&p, pad);
    flt_real *panels = reals(flt_panels_size(k, n)), *d = reals(m * (n + 2)), *s = reals(m), *c = reals(p.ldc * m);
    fill(4, m * (n + 2), d), fill(5, m, s), fill(6, p.ldc * m, c);
    flt_panels_fill(k, n, p.b, p.ldb, panels);
    run(&p);
    const flt_real behind = c[n];
    flt_panels_multiply(&(flt_panels_product){.m = m,
                                              .n = n,
                                              .k = k,
                                              .alpha = (flt_real)p.alpha,
                                              .a = p.a,
                                              .lda = p.lda,
                                              .panels = panels,
                                              .d = with_d ? d : NULL,
                                              .ldd = n + 2,
                                              .s = with_s ? s : NULL,
                                              .c = c,
                                              .ldc = p.ldc});
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            const double add = with_d ? (double)d[i * (n + 2) + j] : 0, less = with_s ? (double)s[i] : 0;
            const double ratio = ratio_of(c[i * p.ldc + j], (long double)p.c[i * p.ldc + j] + add - less, (double)k + 1, 2);
            cr_assert(le(dbl, ratio, 2), "m=%zu n=%zu k=%zu D=%d s=%d: ratio %g", m, n, k, with_d, with_s, ratio);
        }
    if (pad > 0) cr_assert(eq(dbl, c[n], behind), "m=%zu n=%zu k=%zu: the padding of C was written", m, n, k);
    flt_free(panels), flt_free(d), flt_free(s), flt_free(c);
    drop(&p);
}

static void panels(void) {
    static const size_t sizes[][3] = {{1, 1, 1},     {1, 40, 9},    {6, 16, 64},  {7, 17, 3},
                                      {48, 256, 64}, {13, 70, 300}, {140, 33, 20}};
    for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++)
        for (int t = 0; t < 4; t++) try_panels(sizes[z][0], sizes[z][1], sizes[z][2], t & 1, t >> 1, z % 2);
}
TEST_EVERY_ISA(num_gemm, panels, panels)

// turned by a quarter and by an angle, then multiplied with ones: sums of the columns
static void try_turn(size_t k, size_t n) {
    const size_t size = flt_panels_size(k, n);
    flt_real *x = reals(k * n), *y = reals(k * n), *c = reals(k), *s = reals(k), *one = reals(k), *sum = reals(2 * n);
    flt_real *panels = reals(4 * size);
    fill(1, k * n, x), fill(2, k * n, y);
    for (size_t l = 0; l < k; l++) {
        one[l] = 1;
        c[l] = (flt_real)(l % 2 ? 0.0 : 0.6), s[l] = (flt_real)(l % 2 ? 1.0 : 0.8);
    }
    flt_panels_fill(k, n, x, n, panels), flt_panels_fill(k, n, y, n, panels + size);
    flt_panels_turn(k, n, c, s, panels, panels + size, panels + 2 * size, panels + 3 * size);
    for (size_t half = 0; half < 2; half++) {
        const flt_real *turned = panels + (2 + half) * size;
        flt_panels_multiply(&(flt_panels_product){
            .m = 1, .n = n, .k = k, .alpha = 1, .a = one, .lda = k, .panels = turned, .c = sum + half * n, .ldc = n});
    }
    for (size_t j = 0; j < n; j++) {
        long double to_x = 0, to_y = 0;
        for (size_t l = 0; l < k; l++) {
            to_x += (long double)c[l] * x[l * n + j] + (long double)s[l] * y[l * n + j];
            to_y += (long double)c[l] * y[l * n + j] - (long double)s[l] * x[l * n + j];
        }
        cr_assert(le(dbl, ratio_of(sum[j], to_x, (double)k + 2, 3), 2), "k=%zu n=%zu column %zu", k, n, j);
        cr_assert(le(dbl, ratio_of(sum[n + j], to_y, (double)k + 2, 3), 2), "k=%zu n=%zu column %zu", k, n, j);
    }
    flt_free(x), flt_free(y), flt_free(c), flt_free(s), flt_free(one), flt_free(sum), flt_free(panels);
}

static void turned_panels(void) {
    static const size_t sizes[][2] = {{1, 1}, {3, 40}, {32, 256}, {9, 17}};
    for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) try_turn(sizes[z][0], sizes[z][1]);
}
TEST_EVERY_ISA(num_gemm, turned_panels, turned_panels)

Test(num_gemm, empty_sizes) {
    flt_real c[2] = {3, (flt_real)NAN};
    for (int t = 0; t < 4; t++) {
        flt_gemm(t & 1, t >> 1, 0, 2, 1, 1, c, 2, c, 2, 0, c, 2);
        flt_gemm(t & 1, t >> 1, 1, 0, 1, 1, c, 1, c, 1, 0, c, 1);
        cr_assert(eq(dbl, c[0], 3));
    }
    flt_gemm(false, false, 1, 1, 0, 1, NULL, 1, NULL, 1, 2, c, 1);
    cr_assert(eq(dbl, c[0], 6), "k = 0 gives beta C");
    flt_gemm(false, true, 1, 1, 0, 1, NULL, 1, NULL, 1, 0, c + 1, 1);
    cr_assert(eq(dbl, c[1], 0), "k = 0, beta = 0 gives 0 whatever C holds");
    c[1] = (flt_real)NAN;
    flt_gemm(false, true, 1, 1, 1, 0, c + 1, 1, c + 1, 1, 2, c, 1);
    cr_assert(eq(dbl, c[0], 12), "alpha = 0 gives beta C whatever A and B hold");
}

Test(num_gemm, sizes_beyond_blas_are_refused) {
    cr_assert(eq(int, flt_gemm_check("layer", 64, 10, 32), FLTE_OK));
    cr_assert(eq(int, flt_gemm_check("layer", 64, (size_t)1 << 31, 32), FLTE_RANGE));
    cr_assert(ne(ptr, strstr(flt_error(), "layer"), NULL), "%s", flt_error());
}

typedef struct caller {
    product p;
    flt_real *want;
    int wrong;
} caller;

static void *call_often(void *data) {
    caller *c = data;
    for (int i = 0; i < 2000; i++) {
        run(&c->p);
        if (memcmp(c->p.c, c->want, c->p.ldc * c->p.m * sizeof *c->want) != 0) c->wrong++;
    }
    return NULL;
}

// Debian's serial OpenBLAS fails this, hence flt_num_threads; with it only one caller runs.
Test(num_gemm, two_threads_at_once) {
    static const size_t sizes[][3] = {{64, 32, 64}, {64, 10, 32}, {120, 100, 110}};
    const int threads = flt_num_threads(2);
    cr_assert(le(int, threads, 2));
    cr_assert(eq(int, flt_num_threads(0), 1));
    for (size_t s = 0; s < 3; s++) {
        caller callers[2];
        pthread_t ids[2];
        for (int t = 0; t < threads; t++) {
            callers[t] = (caller){.p = {.m = sizes[s][0], .n = sizes[s][1], .k = sizes[s][2], .ta = t == 1, .alpha = 1}};
            make(&callers[t].p, 0);
            run(&callers[t].p);
            callers[t].want = reals(callers[t].p.ldc * callers[t].p.m);
            memcpy(callers[t].want, callers[t].p.c, callers[t].p.ldc * callers[t].p.m * sizeof(flt_real));
        }
        for (int t = 0; t < threads; t++) pthread_create(&ids[t], NULL, call_often, &callers[t]);
        for (int t = 0; t < threads; t++) pthread_join(ids[t], NULL);
        for (int t = 0; t < threads; t++) {
            cr_expect(eq(int, callers[t].wrong, 0), "size %zu, caller %d: %d of 2000 products differ", s, t, callers[t].wrong);
            flt_free(callers[t].want);
            drop(&callers[t].p);
        }
    }
}

Test(num_gemm, the_callers_openmp_threads_stay) {
    product p = {.m = 100, .n = 100, .k = 200, .alpha = 1};
    omp_set_num_threads(2);
    make(&p, 0);
    run(&p);
    cr_assert(eq(int, omp_get_max_threads(), 2));
    drop(&p);
}

Test(num_gemm, identity_of_the_libraries) {
    cr_assert(ne(ptr, strstr(flt_num_blas(), "OpenBLAS 0."), NULL), "%s", flt_num_blas());
    cr_assert(ne(ptr, strstr(flt_num_fftw(), "fftw-3"), NULL), "%s", flt_num_fftw());
}
