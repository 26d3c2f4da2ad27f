// SPDX-License-Identifier: MIT
// The fused flt step, of every instruction set, against the slow reference and against a trajectory of an independent program.
#include "../engine/flt_reference.h"
#include "core/tests/every_isa.h"
#include "opt_support.h"

#include "flt/isa.h"
#include "flt/num.h"

// Roundings of T steps add up, and each passes about 30 features through sums over the tensor.
#define GROWTH(T) (sqrt(30.0) * (double)(T))

static double *to_double(size_t n, const flt_real *x) {
    double *y = NULL;
    OPT_OK(flt_alloc(n, sizeof *y, &y));
    for (size_t i = 0; i < n; i++) y[i] = (double)x[i];
    return y;
}

static void scale_gradients(const flt_layout *l, size_t T, flt_real *grads) {
    for (size_t t = 0; t < T; t++)
        for (size_t k = 0; k < l->n; k++)
            for (size_t i = 0; i < l->tensor[k].count; i++)
                grads[t * l->total + l->tensor[k].offset + i] *= (flt_real)pow(10.0, (double)(k % 6) - 4);
}

// Holds every tensor's movement over T steps against the reference's.
static void check_within(const char *set, const opt_shape *shapes, size_t T, double most) {
    flt_weights w = opt_shaken(set);
    flt_layout layout = opt_layout(shapes);
    const size_t P = layout.total;
    flt_real *start = opt_normal(22, P, 1), *grads = opt_normal(23, T * P, 1);
    scale_gradients(&layout, T, grads);
    double *theta = to_double(w.layout.total, w.theta), *want = to_double(P, start), *grad = to_double(T * P, grads);
    flt_reference *reference = NULL;
    OPT_OK(flt_reference_create(w.params, &layout, &reference));
    flt_reference_bind(reference, theta);
    opt_run run = opt_start(&w, &layout, start);
    for (size_t t = 0; t < T; t++) flt_reference_step(reference, t, grad + t * P, want);
    opt_steps(&run, 0, T, grads);
    for (size_t k = 0; k < layout.n; k++) {
        const flt_tensor_spec *s = &layout.tensor[k];
        double moved[512];
        cr_assert_leq(s->count, 512u);
        for (size_t i = 0; i < s->count; i++)
            moved[i] = fabs(want[s->offset + i] - (double)start[s->offset + i]) + fabs(want[s->offset + i]) / GROWTH(T);
        const double ratio = opt_ratio(s->count, run.param + s->offset, want + s->offset, moved, GROWTH(T));
        cr_assert_leq(ratio, most, "%s: %s '%s': tensor %s: ratio %.3g", flt_num_isa(), FLTX_REAL_NAME, set, s->name, ratio);
    }
    flt_reference_destroy(reference);
    opt_stop(&run);
    flt_free(theta);
    flt_free(want);
    flt_free(grad);
    flt_free(start);
    flt_free(grads);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

static void check_against_reference(const char *set, const opt_shape *shapes, size_t T) {
    check_within(set, shapes, T, 30);
}

// Eigenvectors multiply roundings by what their eigenvalue is of its distance to the next.
static void check_turning(void) {
    static const opt_shape shapes[] = {{"square", 2, {4, 4}},  {"tall", 2, {5, 4}},    {"rank 3", 3, {4, 2, 2}},
                                       {"long", 2, {40, 4}},   {"longer", 2, {3, 70}}, {"vector", 1, {7}},
                                       {"column", 2, {20, 1}}, {NULL, 0, {0}}};
    check_within("lr=0.01,basis=eigen,turn=3", shapes, 12, 300);
    check_within("lr=0.01,basis=eigen,turn=1,form=adaptive", shapes, 5, 300);
    check_within("lr=0.01,basis=eigen,inputs=raw,turn=2", shapes, 12, 300);
}

static void reference(void) {
    check_against_reference("lr=0.01", opt_mixed, 50);
    static const char *const sets[] = {
        "lr=0.1,heads=2,m=5,dk=3,dv=6,r=2,hidden=7x12x5",
        "lr=0.01,heads=3,m=1,dk=1,dv=1,r=1,hidden=1,layers=1",
        "lr=0.01,layers=0,t_ref=5",
        "lr=0.01,m=17,dk=9,dv=13,hidden=19,lr_time=yes",
        "lr=0.01,memory=performer",
        "lr=0.01,memory=discount,heads=2,dk=3",
        "lr=0.01,memory=window,window=5,heads=2",
        "lr=0.01,memory=window,window=1,spectrum=fixed,time=linear,t_ref=7",
        "lr=0.01,memory=spe_sine,heads=2,m=6,r=3,realisations=5",
        "lr=0.01,memory=spe_sine,spectrum=fixed,omega=fixed,draw=3",
        "lr=0.01,memory=none,clock=yes",
        "lr=0.01,time=linear,t_ref=30,spectrum=fixed",
        "lr=0.01,omega=fixed,m=20,heads=2,clock=yes",
        "lr=0.01,form=adam,lr_time=yes,warmup=7",
        "lr=0.01,form=adaptive,clock=yes,warmup=2.5,settle=4",
        "lr=0.01,form=adaptive,warmup=2,schedule=linear,total=9",
        "lr=0.01,lr_time=yes,warmup=3.5,schedule=cosine,total=14,final=0.2",
        "lr=0.01,inputs=raw",
        "lr=0.01,inputs=raw,memory=none,layers=0",
        "lr=0.01,inputs=raw,memory=window,window=7,heads=2,clock=yes",
        "lr=0.01,inputs=raw,memory=spe_sine,time=linear",
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) check_against_reference(sets[i], opt_mixed + 5, 12);
    check_turning();
    check_against_reference("lr=0.01,hidden=4",
                            (opt_shape[]){{"two panels", 2, {130, 3}}, {"many rows", 2, {301, 1}}, {NULL, 0, {0}}}, 6);
    cr_assert_eq(flt_live_blocks(), 0u);
}

TEST_EVERY_ISA(opt_flt, reference, reference)

// Two coordinates leave most of a block to padding, whose features gradients of a moderate size make huge; huge keys have squares
// whose rounding is larger than every exponent.
static void stays_finite(const char *set, const char *tensor, flt_real scale) {
    enum { T = 60 };
    flt_weights w = opt_shaken(set);
    flt_layout layout = opt_layout((opt_shape[]){{"x", 1, {2}}, {NULL, 0, {0}}});
    flt_real *start = opt_normal(31, 2, 1), *grads = opt_normal(32, (size_t)T * 2, 10);
    const flt_tensor_spec *k = flt_layout_find(&w.layout, tensor);
    cr_assert_not_null(k);
    for (size_t i = 0; i < k->count; i++) w.theta[k->offset + i] *= scale;
    opt_run run = opt_start(&w, &layout, start);
    opt_steps(&run, 0, T, grads);
    cr_assert(isfinite(run.param[0]) && isfinite(run.param[1]), "%s, %s x %g: %g %g", set, tensor, (double)scale,
              (double)run.param[0], (double)run.param[1]);
    opt_stop(&run);
    flt_free(start);
    flt_free(grads);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

Test(opt_flt, stays_finite) {
    static const char *const sets[] = {"lr=0.01", "lr=0.01,form=adaptive", "lr=0.01,memory=performer", "lr=0.01,inputs=raw"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        for (flt_real scale = 1; scale < (flt_real)1e9; scale *= 10) stays_finite(sets[i], "wk", scale);
        stays_finite(sets[i], "layers.0.w", (flt_real)1e15);
    }
}

// A basis of gradients that vanish, are of rank one, or whose squares leave the range of flt_real.
Test(opt_flt, turning_stays_finite) {
    enum { T = 24, P = 6 * 4 };
    static const double scales[] = {0, 1e-30, 1e-16, 1, 1e15};
    flt_weights w = opt_shaken("lr=0.01,form=adaptive,basis=eigen,turn=2");
    flt_layout layout = opt_layout((opt_shape[]){{"w", 2, {6, 4}}, {NULL, 0, {0}}});
    flt_real *start = opt_normal(33, P, 1), *grads = opt_normal(34, (size_t)T * P, 1);
    for (size_t k = 0; k < 2 * sizeof scales / sizeof *scales; k++) {
        const double scale = scales[k / 2];
        flt_real *scaled = opt_normal(35, (size_t)T * P, 1);
        for (size_t i = 0; i < (size_t)T * P; i++) // every other time: rows that are one row
            scaled[i] = (flt_real)(scale * (double)grads[k % 2 == 0 ? i : i / P * P + i % 4]);
        opt_run run = opt_start(&w, &layout, start);
        opt_steps(&run, 0, T, scaled);
        for (size_t i = 0; i < P; i++) cr_assert(isfinite(run.param[i]), "gradients of %g: %g", scale, (double)run.param[i]);
        opt_stop(&run);
        flt_free(scaled);
    }
    flt_free(start);
    flt_free(grads);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

// ---- the trajectory in golden/, written by golden/make_golden.py

static flt_tensors *read_golden(const char *name) {
    char path[512];
    const char *root = getenv("FLT_SOURCE_DIR");
    flt_tensors *t = NULL;
    snprintf(path, sizeof path, "%s/optimizers/tests/golden/%s", root == NULL ? "." : root, name);
    OPT_OK(flt_tensors_read(path, &t));
    return t;
}

static flt_weights golden_weights(void) {
    char path[512];
    const flt_optimizer_kind *kind = NULL;
    const char *root = getenv("FLT_SOURCE_DIR");
    flt_weights w;
    snprintf(path, sizeof path, "%s/optimizers/tests/golden/flt_weights.safetensors", root == NULL ? "." : root);
    OPT_OK(flt_optimizer_find("flt", &kind));
    OPT_OK(flt_weights_load(kind, NULL, path, 0, &w));
    return w;
}

static void check_golden_tensor(const flt_tensors *file, const flt_weights *w, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "param.%s", name);
    const flt_tensor *param = flt_tensors_find(file, key);
    snprintf(key, sizeof key, "grad.%s", name);
    const flt_tensor *grad = flt_tensors_find(file, key);
    snprintf(key, sizeof key, "want.%s", name);
    const flt_tensor *want = flt_tensors_find(file, key);
    cr_assert(param != NULL && grad != NULL && want != NULL, "%s", name);
    const size_t P = param->count, T = grad->dim[0], every = T / want->dim[0];
    flt_layout layout = {0};
    OPT_OK(flt_layout_add(&layout, name, param->rank, param->dim));
    flt_real *start = opt_array(P), *grads = opt_array(T * P);
    flt_tensor_to_real(param, start);
    flt_tensor_to_real(grad, grads);
    opt_run run = opt_start(w, &layout, start);
    const double *expected = want->data;
    double moved[512];
    for (size_t t = 0; t < T; t += every, expected += P) {
        opt_steps(&run, t, t + every, grads);
        for (size_t i = 0; i < P; i++) moved[i] = fabs(expected[i] - (double)start[i]) + fabs(expected[i]) / GROWTH(t + every);
        const double ratio = opt_ratio(P, run.param, expected, moved, GROWTH(t + every));
        cr_assert_leq(ratio, 30, "%s: %s: step %zu: ratio %.3g", flt_num_isa(), name, t + every, ratio);
        const double plain = opt_ratio(P, run.param, expected, expected, 1) * FLTX_EPS; // the project's promise on replays
        cr_assert_leq(plain, FLTX_EPS > 1e-10 ? 1e-4 : 1e-9, "%s: step %zu: relative error %.3g", name, t + every, plain);
    }
    opt_stop(&run);
    flt_free(start);
    flt_free(grads);
    flt_layout_free(&layout);
}

static void golden(void) {
    static const char *const names[] = {"scalar", "vector", "wide", "tall", "conv", "lines"};
    flt_tensors *file = read_golden("flt_replay.safetensors");
    flt_weights w = golden_weights();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_golden_tensor(file, &w, names[i]);
    flt_weights_free(&w);
    flt_tensors_destroy(file);
    cr_assert_eq(flt_live_blocks(), 0u);
}

TEST_EVERY_ISA(opt_flt, golden, golden)

// ---- properties

// The same numbers under another shape or another order of memory: axes of length 1, a transposed matrix, a tensor among others.
static void check_same(const opt_shape *a, const opt_shape *b, bool transposed) {
    enum { T = 9 };
    flt_weights w = opt_shaken("lr=0.05");
    flt_layout la = opt_layout(a), lb = opt_layout(b);
    const size_t P = la.tensor[0].count, rows = a->dim[0], cols = P / (rows == 0 ? 1 : rows);
    flt_real *start = opt_normal(31, lb.total, 1), *grads = opt_normal(32, T * lb.total, 0.1);
    flt_real *start_a = opt_array(P), *grads_a = opt_array(T * P);
    for (size_t i = 0; i < P; i++) {
        const size_t from = transposed ? i % cols * rows + i / cols : i;
        start_a[i] = start[from];
        for (size_t t = 0; t < T; t++) grads_a[t * P + i] = grads[t * lb.total + from];
    }
    opt_run x = opt_start(&w, &la, start_a), y = opt_start(&w, &lb, start);
    opt_steps(&x, 0, T, grads_a);
    opt_steps(&y, 0, T, grads);
    for (size_t i = 0; i < P; i++)
        cr_assert_eq(x.param[i], y.param[transposed ? i % cols * rows + i / cols : i], "%s as %s: element %zu", a->name, b->name,
                     i);
    opt_stop(&x);
    opt_stop(&y);
    flt_free(start);
    flt_free(grads);
    flt_free(start_a);
    flt_free(grads_a);
    flt_layout_free(&la);
    flt_layout_free(&lb);
    flt_weights_free(&w);
}

Test(opt_flt, equal_tensors_move_equally) {
    const opt_shape end = {NULL, 0, {0}};
    check_same((opt_shape[]){{"matrix", 2, {4, 9}}, end}, (opt_shape[]){{"its transpose", 2, {9, 4}}, end}, true);
    check_same((opt_shape[]){{"matrix", 2, {21, 34}}, end}, (opt_shape[]){{"its transpose", 2, {34, 21}}, end}, true);
    check_same((opt_shape[]){{"matrix", 2, {4, 9}}, end}, (opt_shape[]){{"with axes of length 1", 4, {1, 4, 9, 1}}, end}, false);
    check_same((opt_shape[]){{"scalar", 0, {0}}, end}, (opt_shape[]){{"vector of one", 1, {1}}, end}, false);
    check_same((opt_shape[]){{"vector", 1, {23}}, end},
               (opt_shape[]){{"vector among others", 1, {23}}, {"other", 2, {40, 3}}, end}, false);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(opt_flt, negative_discount_counts_as_none) {
    flt_weights w = opt_shaken("lr=0.05"), zero = opt_shaken("lr=0.05");
    const flt_tensor_spec *tau = flt_layout_find(&w.layout, "tau");
    cr_assert_neq(tau, NULL);
    w.theta[tau->offset] = (flt_real)-0.5;
    zero.theta[tau->offset] = 0;
    flt_layout layout = opt_layout(opt_mixed);
    flt_real *start = opt_normal(41, layout.total, 1), *grads = opt_normal(42, 20 * layout.total, 1);
    opt_run a = opt_start(&w, &layout, start), b = opt_start(&zero, &layout, start);
    opt_steps(&a, 0, 20, grads);
    opt_steps(&b, 0, 20, grads);
    cr_assert_eq(memcmp(a.param, b.param, a.P * sizeof *start), 0);
    opt_stop(&a);
    opt_stop(&b);
    flt_free(start);
    flt_free(grads);
    flt_layout_free(&layout);
    flt_weights_free(&w);
    flt_weights_free(&zero);
}

// rate_t = lr exp(log_lr[0] + log_lr[1] log(1 + t) / log(1 + t_ref)): the first step from equal states moves in proportion to it.
Test(opt_flt, learned_rate) {
    flt_weights w = opt_shaken("lr=0.01,t_ref=100,lr_time=yes");
    const flt_tensor_spec *log_lr = flt_layout_find(&w.layout, "log_lr");
    cr_assert_neq(log_lr, NULL);
    cr_assert_eq(log_lr->count, 2u);
    flt_layout layout = opt_layout((opt_shape[]){{"x", 2, {6, 5}}, {NULL, 0, {0}}});
    flt_real *zero = opt_array(30), *grads = opt_normal(51, 30, 1);
    double moved[2][30];
    for (int learned = 0; learned < 2; learned++) {
        w.theta[log_lr->offset] = learned ? (flt_real)0.5 : 0;
        w.theta[log_lr->offset + 1] = learned ? (flt_real)-1.25 : 0;
        opt_run r = opt_start(&w, &layout, zero);
        flt_optimizer_step(r.o, 40, 0, grads, r.param, r.state);
        for (size_t i = 0; i < 30; i++) moved[learned][i] = (double)r.param[i];
        opt_stop(&r);
    }
    const double factor = exp(0.5 - 1.25 * log1p(40.0) / log1p(100.0));
    for (size_t i = 0; i < 30; i++) {
        const double ratio = fabs(moved[1][i] - factor * moved[0][i]) / (FLTX_EPS * fabs(moved[1][i]));
        cr_assert_leq(ratio, 30, "element %zu: ratio %.3g", i, ratio);
    }
    flt_free(zero);
    flt_free(grads);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

// The untrained optimizer follows m rsqrt(v), decays 0.9 and 0.95, normalised over the tensor.
Test(opt_flt, starts_near_adam) {
    enum { P = 200, T = 30 };
    static const char *const sets[] = {"", "hidden=16x8x4", "layers=0", "heads=2,m=4", "layers=1,hidden=2"};
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
        flt_weights w = opt_weights("flt", sets[k]);
        flt_layout layout = opt_layout((opt_shape[]){{"x", 2, {10, 20}}, {NULL, 0, {0}}});
        flt_real *grads = opt_normal(61, T * P, 0.1), *zero = opt_array(P), before[P];
        opt_run r = opt_start(&w, &layout, zero);
        double m[P] = {0}, v[P] = {0}, both = 0, ours = 0, adams = 0;
        for (size_t t = 0; t < T; t++) {
            memcpy(before, r.param, sizeof before);
            opt_steps(&r, t, t + 1, grads);
            for (size_t i = 0; i < P; i++) {
                const double g = (double)grads[t * P + i], move = (double)before[i] - (double)r.param[i];
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.95 * v[i] + 0.05 * g * g;
                const double adam = m[i] / sqrt(v[i] + 1e-8);
                both += move * adam;
                ours += move * move;
                adams += adam * adam;
            }
        }
        const double cosine = both / sqrt(ours * adams), rms = sqrt(ours / P / T);
        cr_assert_gt(cosine, 0.95, "'%s': cosine %.3f", sets[k], cosine);
        cr_assert(rms > 0.9e-3 && rms < 1.1e-3, "'%s': rms of a step %.3g", sets[k], rms);
        opt_stop(&r);
        flt_free(grads);
        flt_free(zero);
        flt_layout_free(&layout);
        flt_weights_free(&w);
    }
}

Test(opt_flt, sizes_are_checked) {
    const flt_optimizer_kind *kind = NULL;
    static const char *const bad[] = {"hidden=x",  "hidden=8x",   "hidden=0", "hidden=8x0",
                                      "hidden=-8", "hidden=5000", "hidden=",  "hidden=1x1x1x1x1x1x1x1x1"};
    OPT_OK(flt_optimizer_find("flt", &kind));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        flt_params *p = NULL;
        flt_weights w;
        OPT_OK(flt_params_create("flt", kind->kind.params, &p));
        OPT_OK(flt_params_parse(p, bad[i]));
        const flt_err err = flt_weights_load(kind, p, NULL, 0, &w);
        cr_assert(err == FLTE_USAGE || err == FLTE_RANGE, "%s", bad[i]);
        cr_assert_neq(strstr(flt_error(), "hidden"), NULL, "%s: %s", bad[i], flt_error());
        cr_assert_eq(w.theta, NULL);
        flt_params_destroy(p);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}
