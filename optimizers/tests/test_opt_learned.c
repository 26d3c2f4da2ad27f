// SPDX-License-Identifier: MIT
// mlp_lopt, small_fc_lopt, celo2, lstm and flt_tensor, of every instruction set, against trajectories of an independent program
// (golden/make_learned.py, make_tensor.py), and what they do before any training.
#include "core/tests/every_isa.h"
#include "opt_support.h"

#include "flt/num.h"

static const char *const kinds[] = {"mlp_lopt", "small_fc_lopt", "celo2", "lstm", "flt_tensor"};
static const char *const names[] = {"scalar", "vector", "wide", "tall", "conv", "lines"};
enum { KINDS = sizeof kinds / sizeof *kinds, NAMES = sizeof names / sizeof *names };

// Roundings of T steps add up, and each passes about 30 features through sums over the tensor.
#define GROWTH(T) (sqrt(30.0) * (double)(T))

static const char *path_of(const char *file) {
    static char path[512];
    const char *root = getenv("FLT_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/optimizers/tests/golden/%s", root == NULL ? "." : root, file);
    return path;
}

static flt_weights golden_weights(const char *name) {
    char file[64];
    const flt_optimizer_kind *kind = NULL;
    flt_weights w;
    snprintf(file, sizeof file, "%s_weights.safetensors", name);
    OPT_OK(flt_optimizer_find(name, &kind));
    OPT_OK(flt_weights_load(kind, NULL, path_of(file), 0, &w));
    return w;
}

static const flt_tensor *find(const flt_tensors *file, const char *first, const char *second, const char *third) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s%s%s", first, second, third[0] == '\0' ? "" : ".", third);
    const flt_tensor *t = flt_tensors_find(file, key);
    cr_assert_neq(t, NULL, "%s", key);
    return t;
}

// All tensors in one layout, so that each finds its own state.
typedef struct problem {
    flt_layout layout;
    flt_real *start, *grads; // [P], [T, P]
    size_t T;
} problem;

static problem read_problem(const flt_tensors *file) {
    problem b = {.T = find(file, "grad", names[0], "")->dim[0]};
    for (size_t i = 0; i < NAMES; i++) {
        const flt_tensor *p = find(file, "param", names[i], "");
        OPT_OK(flt_layout_add(&b.layout, names[i], p->rank, p->dim));
    }
    const size_t P = b.layout.total;
    b.start = opt_array(P);
    b.grads = opt_array(b.T * P);
    for (size_t i = 0; i < NAMES; i++) {
        const flt_tensor_spec *s = &b.layout.tensor[i];
        flt_real *all = opt_array(b.T * s->count);
        flt_tensor_to_real(find(file, "param", names[i], ""), b.start + s->offset);
        flt_tensor_to_real(find(file, "grad", names[i], ""), all);
        for (size_t t = 0; t < b.T; t++) memcpy(b.grads + t * P + s->offset, all + t * s->count, s->count * sizeof *all);
        flt_free(all);
    }
    return b;
}

static void check_tensor(const char *kind, const flt_tensor_spec *s, size_t t, const flt_real *start, const flt_real *got,
                         const double *want) {
    double moved[512];
    for (size_t i = 0; i < s->count; i++) moved[i] = fabs(want[i] - (double)start[i]) + fabs(want[i]) / GROWTH(t);
    const double ratio = opt_ratio(s->count, got, want, moved, GROWTH(t));
    cr_assert_leq(ratio, 30, "%s %s: %s: step %zu: ratio %.3g", flt_num_isa(), kind, s->name, t, ratio);
    const double plain = opt_ratio(s->count, got, want, want, 1) * FLTX_EPS; // the project's promise on replays
    cr_assert_leq(plain, FLTX_EPS > 1e-10 ? 1e-4 : 1e-9, "%s: %s: step %zu: relative error %.3g", kind, s->name, t, plain);
}

static void check_kind(const char *kind, const problem *b, const flt_tensors *want) {
    flt_weights w = golden_weights(kind);
    opt_run run = opt_start(&w, &b->layout, b->start);
    const size_t rows = find(want, "want", kind, names[0])->dim[0], every = b->T / rows;
    for (size_t k = 0; k < rows; k++) {
        opt_steps(&run, k * every, (k + 1) * every, b->grads);
        for (size_t i = 0; i < NAMES; i++) {
            const flt_tensor_spec *s = &b->layout.tensor[i];
            const double *expected = find(want, "want", kind, names[i])->data;
            check_tensor(kind, s, (k + 1) * every, b->start + s->offset, run.param + s->offset, expected + k * s->count);
        }
    }
    opt_stop(&run);
    flt_weights_free(&w);
}

static void golden(void) {
    flt_tensors *file = NULL, *want = NULL, *tensor = NULL;
    OPT_OK(flt_tensors_read(path_of("flt_replay.safetensors"), &file));
    OPT_OK(flt_tensors_read(path_of("learned_want.safetensors"), &want));
    OPT_OK(flt_tensors_read(path_of("flt_tensor_want.safetensors"), &tensor));
    problem b = read_problem(file);
    for (size_t i = 0; i < KINDS; i++) check_kind(kinds[i], &b, strcmp(kinds[i], "flt_tensor") == 0 ? tensor : want);
    flt_free(b.start);
    flt_free(b.grads);
    flt_layout_free(&b.layout);
    flt_tensors_destroy(file);
    flt_tensors_destroy(want);
    flt_tensors_destroy(tensor);
    cr_assert_eq(flt_live_blocks(), 0u);
}

TEST_EVERY_ISA(opt_learned, golden, golden)

// Untrained, each goes down a bowl: most moves are against a running mean of the gradient.
Test(opt_learned, starts_sane) {
    enum { P = 200, T = 300 };
    static const char *const sets[] = {"", "layers=1,hidden=2", "layers=3,hidden=11"};
    for (size_t k = 0; k < KINDS * 3; k++) {
        const char *kind = kinds[k / 3];
        flt_weights w = opt_weights(kind, sets[k % 3]);
        flt_layout layout = opt_layout((opt_shape[]){{"x", 2, {10, 20}}, {NULL, 0, {0}}});
        flt_real *start = opt_normal(71, P, 1), *grad = opt_array(P);
        opt_run r = opt_start(&w, &layout, start);
        for (size_t t = 0; t < T; t++) {
            memcpy(grad, r.param, P * sizeof *grad);
            flt_optimizer_step(r.o, t, 0, grad, r.param, r.state);
        }
        const double before = flt_sum_squares(P, start), after = flt_sum_squares(P, r.param);
        cr_assert(after < 0.7 * before, "%s '%s': %.3g of the loss is left", kind, sets[k % 3], after / before);
        opt_stop(&r);
        flt_free(start);
        flt_free(grad);
        flt_layout_free(&layout);
        flt_weights_free(&w);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

// A weight file written with other sizes brings them along; one of another kind, or without its layers, is refused.
Test(opt_learned, sizes_come_with_the_weights) {
    for (size_t k = 0; k < KINDS; k++) {
        char path[] = "/tmp/flt_learned_XXXXXX";
        cr_assert_neq(mkdtemp(path), NULL);
        char file[64];
        snprintf(file, sizeof file, "%s/w.safetensors", path);
        flt_weights w = opt_weights(kinds[k], "hidden=7,layers=3"), back, other;
        const flt_optimizer_kind *wrong = NULL;
        OPT_OK(flt_weights_save(&w, file));
        OPT_OK(flt_weights_load(w.kind, NULL, file, 0, &back));
        cr_assert_eq(back.layout.total, w.layout.total, "%s", kinds[k]);
        cr_assert_eq(memcmp(back.theta, w.theta, w.layout.total * sizeof *w.theta), 0, "%s", kinds[k]);
        OPT_OK(flt_optimizer_find(kinds[(k + 1) % KINDS], &wrong));
        cr_assert_eq(flt_weights_load(wrong, NULL, file, 0, &other), FLTE_FORMAT, "%s", kinds[k]);
        remove(file);
        remove(path);
        flt_weights_free(&back);
        flt_weights_free(&w);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

// lr multiplies a step and nothing else: what a tuning grid turns.
Test(opt_learned, lr_multiplies_the_step) {
    for (size_t k = 0; k < KINDS; k++) {
        flt_layout layout = opt_layout(opt_mixed);
        const size_t P = layout.total;
        flt_real *zero = opt_array(P), *grads = opt_normal(81, P, 0.1);
        memset(zero, 0, P * sizeof *zero);
        char set[32];
        flt_weights one = opt_weights(kinds[k], "");
        snprintf(set, sizeof set, "lr=%.17g", 4 * flt_params_real(one.params, "lr"));
        flt_weights four = opt_weights(kinds[k], set);
        opt_run a = opt_start(&one, &layout, zero), b = opt_start(&four, &layout, zero);
        opt_steps(&a, 0, 1, grads);
        opt_steps(&b, 0, 1, grads);
        for (size_t i = 0; i < P; i++) {
            const double want = 4 * (double)a.param[i];
            cr_assert_leq(fabs((double)b.param[i] - want), 8 * FLTX_EPS * fabs(want), "%s: %zu: %g, not %g", kinds[k], i,
                          (double)b.param[i], want);
        }
        cr_assert_eq(memcmp(a.state, b.state, a.words * sizeof *a.state), 0, "%s", kinds[k]);
        opt_stop(&a);
        opt_stop(&b);
        flt_free(zero);
        flt_free(grads);
        flt_layout_free(&layout);
        flt_weights_free(&one);
        flt_weights_free(&four);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

// Large tensors go tile by tile. A pattern repeated along each axis has the pattern's own means over lines and over everything,
// so that its step is the pattern's step repeated, wherever tiles begin.
typedef struct pattern {
    size_t rank, dim[3], times[3];
} pattern;

static const pattern patterns[] = {
    {1, {13}, {1400}}, {2, {5, 7}, {8, 61}}, {2, {3, 7}, {2, 500}}, {2, {7, 3}, {500, 2}}, {3, {2, 5, 7}, {1, 12, 25}}};

// Where coordinate i of the repeated pattern lies in the pattern.
static size_t source(const pattern *p, size_t i) {
    size_t at = 0, stride = 1;
    for (size_t k = p->rank; k-- > 0;) {
        const size_t wide = p->dim[k] * p->times[k];
        at += i % wide % p->dim[k] * stride;
        i /= wide;
        stride *= p->dim[k];
    }
    return at;
}

static flt_real *repeated(const pattern *p, size_t n, const flt_real *x) {
    flt_real *y = opt_array(n);
    for (size_t i = 0; i < n; i++) y[i] = x[source(p, i)];
    return y;
}

static void check_pattern(const flt_weights *w, const pattern *p) {
    enum { T = 3 };
    flt_layout small = {0}, large = {0};
    const size_t dim[3] = {p->dim[0] * p->times[0], p->dim[1] * p->times[1], p->dim[2] * p->times[2]};
    OPT_OK(flt_layout_add(&small, "x", p->rank, p->dim));
    OPT_OK(flt_layout_add(&large, "x", p->rank, dim));
    flt_real *start = opt_normal(91, small.total, 0.01), *many = repeated(p, large.total, start);
    opt_run a = opt_start(w, &small, start), b = opt_start(w, &large, many);
    for (size_t t = 0; t < T; t++) {
        flt_real *grad = opt_normal(92 + t, small.total, 0.1), *all = repeated(p, large.total, grad);
        flt_optimizer_step(a.o, t, 0, grad, a.param, a.state);
        flt_optimizer_step(b.o, t, 0, all, b.param, b.state);
        flt_free(grad);
        flt_free(all);
    }
    double most = 0;
    for (size_t i = 0; i < small.total; i++) most = fmax(most, fabs((double)a.param[i] - (double)start[i]));
    for (size_t i = 0; i < large.total; i++)
        cr_assert_leq(fabs((double)b.param[i] - (double)a.param[source(p, i)]), 1000 * FLTX_EPS * most, "%s, %zu x %zu: %zu",
                      w->kind->kind.name, dim[0], dim[1], i);
    opt_stop(&a);
    opt_stop(&b);
    flt_free(start);
    flt_free(many);
    flt_layout_free(&small);
    flt_layout_free(&large);
}

Test(opt_learned, tiles_do_not_show) {
    static const char *const tiled[] = {"mlp_lopt", "small_fc_lopt", "celo2"};
    for (size_t k = 0; k < sizeof tiled / sizeof *tiled; k++) {
        flt_weights w = opt_weights(tiled[k], "");
        flt_real *noise = opt_normal(90, w.layout.total, 0.2);
        for (size_t i = 0; i < w.layout.total; i++) w.theta[i] += noise[i];
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) check_pattern(&w, &patterns[i]);
        flt_free(noise);
        flt_weights_free(&w);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}
