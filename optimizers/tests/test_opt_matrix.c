// SPDX-License-Identifier: MIT
// shampoo and soap against trajectories of an independent program (golden/make_matrix.py), and what holds for any matrix.
#include "opt_support.h"

#include "flt/num.h"

// growth: roundings of one step, for a root of eigenvalues that are at least matrix_eps of the largest, or for an eigenbasis
static const struct {
    const char *kind, *name, *set;
    double growth;
} cases[] = {
    {"shampoo", "usual", "", 1e6},
    {"shampoo", "often", "lr=0.02,beta1=0.5,beta2=0.9,eps=0.001,matrix_eps=0.01,weight_decay=0.1,frequency=3", 100},
    {"shampoo", "short", "lr=0.02,matrix_eps=0.1,frequency=1,max_dim=4", 10},
    {"soap", "usual", "", 100},
    {"soap", "often", "lr=0.02,beta1=0.5,beta2=0.9,eps=0.001,weight_decay=0.1,frequency=3", 100},
    {"soap", "short", "lr=0.02,frequency=2,max_dim=3", 100},
};
static const char *const names[] = {"square", "vector", "scalar", "tall", "wide", "conv"};
enum { CASES = sizeof cases / sizeof *cases, NAMES = sizeof names / sizeof *names };

static const flt_tensor *find(const flt_tensors *file, const char *first, const char *second) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", first, second);
    return flt_tensors_find(file, key);
}

static void check_rows(const char *label, const flt_tensor *want, size_t every, const flt_real *start, const flt_real *got,
                       double growth) {
    const size_t rows = want->dim[0], count = want->count / rows;
    const double *all = want->data;
    for (size_t k = 0; k < rows; k++) {
        double moved[64];
        for (size_t i = 0; i < count; i++)
            moved[i] = fabs(all[k * count + i] - (double)start[i]) + fabs((double)start[i]) / growth;
        const double ratio = opt_ratio(count, got + k * count, all + k * count, moved, growth * (double)every * (double)(k + 1));
        cr_assert_leq(ratio, 30, "%s: step %zu: ratio %.3g", label, (k + 1) * every, ratio);
    }
}

// One tensor of one case by itself.
static void check_tensor(const flt_tensors *file, size_t c, const char *name) {
    char key[64], label[128];
    snprintf(key, sizeof key, "want.%s.%s", cases[c].kind, cases[c].name);
    snprintf(label, sizeof label, "%s %s: %s", cases[c].kind, cases[c].name, name);
    const flt_tensor *want = find(file, key, name), *grad = find(file, "grad", name), *param = find(file, "param", name);
    if (want == NULL) return;
    const size_t T = grad->dim[0], P = param->count, every = T / want->dim[0];
    flt_weights w = opt_weights(cases[c].kind, cases[c].set);
    flt_layout layout = {0};
    OPT_OK(flt_layout_add(&layout, name, param->rank, param->dim));
    flt_real *start = opt_array(P), *grads = opt_array(T * P), *got = opt_array(want->count);
    flt_tensor_to_real(param, start);
    flt_tensor_to_real(grad, grads);
    opt_run run = opt_start(&w, &layout, start);
    for (size_t k = 0; k < want->dim[0]; k++) {
        opt_steps(&run, k * every, (k + 1) * every, grads);
        memcpy(got + k * P, run.param, P * sizeof *got);
    }
    check_rows(label, want, every, start, got, cases[c].growth);
    opt_stop(&run);
    flt_free(start);
    flt_free(grads);
    flt_free(got);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

Test(opt_matrix, golden) {
    char path[512];
    const char *root = getenv("FLT_SOURCE_DIR");
    flt_tensors *file = NULL;
    snprintf(path, sizeof path, "%s/optimizers/tests/golden/matrix.safetensors", root == NULL ? "." : root);
    OPT_OK(flt_tensors_read(path, &file));
    for (size_t c = 0; c < CASES; c++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%s", cases[c].kind, cases[c].name);
        cr_assert_str_eq(flt_tensors_meta(file, key), cases[c].set, "%s", key);
        for (size_t i = 0; i < NAMES; i++) check_tensor(file, c, names[i]);
    }
    flt_tensors_destroy(file);
    cr_assert_eq(flt_live_blocks(), 0u);
}

// Both see a matrix through G G^T and G^T G alone: a permutation of rows and of columns goes through unchanged. (Not soap's first
// basis of a gradient of low rank, which is any: the matrix is square.)
Test(opt_matrix, permutations_go_through) {
    enum { N = 7, T = 25 };
    static const size_t rows[N] = {3, 1, 6, 0, 5, 2, 4}, cols[N] = {2, 6, 0, 4, 1, 3, 5};
    for (size_t c = 0; c < 2; c++) {
        flt_weights w = opt_weights(c == 0 ? "shampoo" : "soap", c == 0 ? "matrix_eps=0.01,lr=0.01" : "lr=0.01");
        flt_layout layout = opt_layout((opt_shape[]){{"x", 2, {N, N}}, {NULL, 0, {0}}});
        flt_real *zero = opt_array(N * N), *g = opt_normal(5, T * N * N, 1), *turned = opt_array(T * N * N);
        memset(zero, 0, N * N * sizeof *zero);
        for (size_t t = 0; t < T; t++)
            for (size_t i = 0; i < N; i++)
                for (size_t j = 0; j < N; j++) turned[(t * N + i) * N + j] = g[(t * N + rows[i]) * N + cols[j]];
        opt_run a = opt_start(&w, &layout, zero), b = opt_start(&w, &layout, zero);
        opt_steps(&a, 0, T, g);
        opt_steps(&b, 0, T, turned);
        double want[N * N];
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) want[i * N + j] = (double)a.param[rows[i] * N + cols[j]];
        const double ratio = opt_ratio(N * N, b.param, want, want, 100 * T);
        cr_assert_leq(ratio, 30, "%s: ratio %.3g", w.kind->kind.name, ratio);
        opt_stop(&a);
        opt_stop(&b);
        flt_free(zero);
        flt_free(g);
        flt_free(turned);
        flt_layout_free(&layout);
        flt_weights_free(&w);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}
