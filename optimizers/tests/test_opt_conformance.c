// SPDX-License-Identifier: MIT
// What every optimizer must do, over the registry: repeat bit for bit, resume from its state, allocate nothing in a step, keep
// the gradient, survive gradients that are not finite, fail cleanly when memory runs out.
#include "opt_support.h"

enum { T = 12 };

typedef struct bench {
    const char *name;
    flt_weights w;
    flt_layout layout;
    flt_real *start, *grads; // [P], [T, P]
} bench;

static bench set_up(const flt_kind *kind) {
    bench b = {.name = kind->name, .w = opt_weights(kind->name, ""), .layout = opt_layout(opt_mixed)};
    b.start = opt_normal(11, b.layout.total, 1);
    b.grads = opt_normal(12, T * b.layout.total, 0.1);
    return b;
}

static void tear_down(bench *b) {
    flt_free(b->start);
    flt_free(b->grads);
    flt_layout_free(&b->layout);
    flt_weights_free(&b->w);
}

static void over_kinds(void (*check)(bench *b)) {
    const flt_kind *const *kinds = flt_optimizer_registry()->kinds;
    cr_assert_neq(kinds[0], NULL);
    for (; *kinds != NULL; kinds++) {
        bench b = set_up(*kinds);
        check(&b);
        tear_down(&b);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

static void same_bits(const char *name, const opt_run *a, const opt_run *b) {
    cr_assert_eq(memcmp(a->param, b->param, a->P * sizeof *a->param), 0, "%s: parameters differ", name);
    cr_assert_eq(memcmp(a->state, b->state, a->words * sizeof *a->state), 0, "%s: states differ", name);
}

static void check_descriptor(bench *b) {
    const flt_optimizer_kind *k = b->w.kind;
    const bool learned = (k->kind.caps & FLTX_OPT_LEARNED) != 0;
    cr_assert_eq(k->meta != NULL && k->meta_init != NULL && k->infer != NULL && k->bind != NULL, learned, "%s", b->name);
    cr_assert(k->kind.summary != NULL && k->kind.formula != NULL && k->kind.citation != NULL && k->kind.cost != NULL, "%s",
              b->name);
    bool has_lr = false;
    for (const flt_param_spec *s = k->kind.params; s != NULL && s->name != NULL; s++) has_lr |= strcmp(s->name, "lr") == 0;
    cr_assert_eq(has_lr, (k->kind.caps & FLTX_OPT_LR) != 0, "%s: lr", b->name);
}

// Each says what a step computes, at least an operation a parameter, in proportion to them.
static void check_flops(bench *b) {
    flt_layout one = opt_layout((opt_shape[]){{"w", 2, {12, 10}}, {NULL, 0, {0}}});
    flt_layout two = opt_layout((opt_shape[]){{"w", 2, {12, 10}}, {"v", 2, {12, 10}}, {NULL, 0, {0}}});
    const double once = flt_optimizer_flops(b->w.kind, b->w.params, &one);
    cr_assert_geq(once, 120.0, "%s: %g; engine/flops.c has the table", b->name, once);
    cr_assert_eq(flt_optimizer_flops(b->w.kind, b->w.params, &two), 2.0 * once, "%s", b->name);
    flt_layout_free(&one);
    flt_layout_free(&two);
}

static double flops_of(const char *name, const char *set) { // of a parameter of a vector
    flt_weights w = opt_weights(name, set);
    flt_layout l = opt_layout((opt_shape[]){{"v", 1, {10}}, {NULL, 0, {0}}});
    const double flops = flt_optimizer_flops(w.kind, w.params, &l) / 10;
    flt_layout_free(&l);
    flt_weights_free(&w);
    return flops;
}

static void check_moves_and_repeats(bench *b) {
    flt_real *copy = opt_array(T * b->layout.total);
    memcpy(copy, b->grads, T * b->layout.total * sizeof *copy);
    opt_run first = opt_start(&b->w, &b->layout, b->start), second = opt_start(&b->w, &b->layout, b->start);
    bool *moved = NULL;
    OPT_OK(flt_alloc(b->layout.total, sizeof *moved, &moved));
    const size_t before = flt_alloc_count();
    for (size_t t = 0; t < T; t++) { // steps of equal length can come back: seen on the way, not at the end
        opt_steps(&first, t, t + 1, b->grads);
        for (size_t i = 0; i < first.P; i++) moved[i] |= first.param[i] != b->start[i];
    }
    cr_assert_eq(flt_alloc_count(), before, "%s: a step allocates", b->name);
    opt_steps(&second, 0, T, b->grads);
    same_bits(b->name, &first, &second);
    cr_assert_eq(memcmp(copy, b->grads, T * b->layout.total * sizeof *copy), 0, "%s: the gradient was written", b->name);
    for (size_t i = 0; i < first.P; i++)
        cr_assert(isfinite((double)first.param[i]) && moved[i], "%s: parameter %zu is %g, was %g", b->name, i,
                  (double)first.param[i], (double)b->start[i]);
    opt_stop(&first);
    opt_stop(&second);
    flt_free(moved);
    flt_free(copy);
}

// The state moved to memory of another alignment and another object.
static void check_resumes(bench *b) {
    opt_run whole = opt_start(&b->w, &b->layout, b->start), half = opt_start(&b->w, &b->layout, b->start);
    opt_steps(&whole, 0, T, b->grads);
    opt_steps(&half, 0, T / 2, b->grads);
    opt_run rest = opt_start(&b->w, &b->layout, half.param);
    flt_real *shifted = opt_array(rest.words + 1), *param = opt_array(rest.P + 1);
    memcpy(shifted + 1, half.state, rest.words * sizeof *shifted);
    memcpy(param + 1, half.param, rest.P * sizeof *param);
    for (size_t t = T / 2; t < T; t++) flt_optimizer_step(rest.o, t, 1, b->grads + t * rest.P, param + 1, shifted + 1);
    cr_assert_eq(memcmp(whole.param, param + 1, rest.P * sizeof *param), 0, "%s: parameters", b->name);
    cr_assert_eq(memcmp(whole.state, shifted + 1, rest.words * sizeof *shifted), 0, "%s: state", b->name);
    flt_free(shifted);
    flt_free(param);
    opt_stop(&whole);
    opt_stop(&half);
    opt_stop(&rest);
}

// Through a file: the same bits as without; another layout and another optimizer are refused.
static void check_state_file(bench *b) {
    char folder[] = "/tmp/flt_state_XXXXXX", path[64];
    uint64_t t = 0;
    cr_assert_neq(mkdtemp(folder), NULL);
    snprintf(path, sizeof path, "%s/state", folder);
    opt_run whole = opt_start(&b->w, &b->layout, b->start), half = opt_start(&b->w, &b->layout, b->start);
    opt_steps(&whole, 0, T, b->grads);
    opt_steps(&half, 0, T / 2, b->grads);
    OPT_OK(flt_state_save(&b->w, &b->layout, half.words, T / 2, half.state, path));
    opt_run rest = opt_start(&b->w, &b->layout, half.param);
    OPT_OK(flt_state_load(&b->w, &b->layout, rest.words, path, &t, rest.state));
    cr_assert_eq(t, (uint64_t)T / 2, "%s", b->name);
    opt_steps(&rest, T / 2, T, b->grads);
    same_bits(b->name, &whole, &rest);
    flt_layout other = opt_layout((opt_shape[]){{"wide", 2, {9, 4}}, {NULL, 0, {0}}});
    cr_assert_eq(flt_state_load(&b->w, &other, rest.words, path, &t, rest.state), FLTE_USAGE, "%s", b->name);
    flt_weights wrong = opt_weights(strcmp(b->name, "adam") == 0 ? "lion" : "adam", "");
    cr_assert_eq(flt_state_load(&wrong, &b->layout, rest.words, path, &t, rest.state), FLTE_USAGE, "%s", b->name);
    cr_assert_neq(strstr(flt_error(), b->name), NULL, "%s: %s", b->name, flt_error());
    remove(path);
    remove(folder);
    flt_weights_free(&wrong);
    flt_layout_free(&other);
    opt_stop(&whole);
    opt_stop(&half);
    opt_stop(&rest);
}

static void check_survives(bench *b) {
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e38, 0};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        opt_run r = opt_start(&b->w, &b->layout, b->start);
        opt_steps(&r, 0, 2, b->grads);
        flt_real *grad = opt_array(r.P);
        for (size_t i = 0; i < r.P; i++) grad[i] = (flt_real)bad[k];
        for (size_t t = 2; t < 5; t++) flt_optimizer_step(r.o, t, (flt_real)bad[k], grad, r.param, r.state);
        opt_steps(&r, 5, T, b->grads);
        flt_free(grad);
        opt_stop(&r);
    }
}

static void check_allocation_failures(bench *b) {
    for (long n = 0;; n++) {
        flt_optimizer *o = NULL;
        const size_t live = flt_live_blocks();
        flt_fail_alloc_after(n);
        const flt_err err = flt_optimizer_create(b->w.kind, n % 2 == 0 ? b->w.params : NULL, &b->layout, &o);
        flt_fail_alloc_after(-1);
        if (err == FLTE_OK) {
            flt_optimizer_destroy(o);
            cr_assert_eq(flt_live_blocks(), live, "%s: leak after success", b->name);
            cr_assert_gt(n, 0, "%s: creation allocates nothing", b->name);
            return;
        }
        cr_assert_eq(err, FLTE_NOMEM, "%s: %ld: %s", b->name, n, flt_error());
        cr_assert_eq(o, NULL);
        cr_assert_eq(flt_live_blocks(), live, "%s: allocation %ld leaks", b->name, n);
    }
}

static void check_refuses(bench *b) {
    flt_optimizer *o = NULL;
    const flt_layout none = {0};
    flt_params *other = NULL;
    static const flt_param_spec specs[] = {{"lr", FLTX_REAL, "1", 0, 1, NULL, ""}, {0}};
    OPT_OK(flt_params_create("other", specs, &other));
    cr_assert_eq(flt_optimizer_create(b->w.kind, NULL, &none, &o), FLTE_SHAPE, "%s", b->name);
    cr_assert_eq(flt_optimizer_create(b->w.kind, other, &b->layout, &o), FLTE_USAGE, "%s", b->name);
    cr_assert_eq(o, NULL);
    flt_params_destroy(other);
    flt_optimizer_destroy(NULL);
}

Test(opt_conformance, descriptor) {
    over_kinds(check_descriptor);
}
Test(opt_conformance, flops) {
    over_kinds(check_flops);
    cr_assert_eq(flops_of("adam", ""), 12);
    cr_assert_eq(flops_of("small_fc_lopt", "hidden=32,layers=2"), 2 * (28 * 32 + 32 * 32 + 32 * 2));
    cr_assert_eq(flops_of("lstm", "hidden=20,layers=2"), 2 * (22 * 80 + 40 * 80 + 20));
    cr_assert_eq(flops_of("flt", "memory=none,hidden=8,layers=2"), 2 * (30 * 8 + 8 * 8 + 8 * 2));
    cr_assert_eq(flops_of("flt", "m=8,dk=4,dv=4,hidden=8,layers=2"),
                 2 * (30 * 20 + 4 * 8 + 8 * 8 + 8 * 2) + 4 * 8 * 4 + 5 * 8 * 5);
}
Test(opt_conformance, moves_and_repeats) {
    over_kinds(check_moves_and_repeats);
}
Test(opt_conformance, resumes_from_its_state) {
    over_kinds(check_resumes);
}
Test(opt_conformance, resumes_from_a_file) {
    over_kinds(check_state_file);
}
Test(opt_conformance, survives_bad_gradients) {
    over_kinds(check_survives);
}
Test(opt_conformance, allocation_failures) {
    over_kinds(check_allocation_failures);
}
Test(opt_conformance, refuses) {
    over_kinds(check_refuses);
}
