// SPDX-License-Identifier: MIT
// Gradients through unrolls: the graph of a step takes the path of the kernels, and its gradient is the derivative of the unroll
// that the kernels make, by central differences.
#include "../engine/inner.h"
#include "../meta/engine/unroll.h"
#include "flt/tasks.h"
#include "opt_support.h"

#include <criterion/new/assert.h>

#ifdef FLTX_DOUBLE
static const double DIFFERENCE = 1e-6;
#else
static const double DIFFERENCE = 1e-2;
#endif

enum { STEPS = 20, COMPONENTS = 40 }; // meta-parameters whose differences are taken

typedef struct subject {
    const char *optimizer, *set;
} subject;

static const subject subjects[] = {
    {"lstm", "hidden=3"},
    {"lstm", "hidden=4,layers=1,k=2"},
    {"mlp_lopt", "hidden=4"},
    {"small_fc_lopt", "hidden=4"},
    {"celo2", "hidden=4"},
    {"flt", "m=3,dk=2,dv=2,r=2,hidden=4"},
    {"flt", "m=4,dk=2,dv=1,r=2,hidden=4x3,heads=2,lr_time=true,form=adam,clock=true,time=linear,t_ref=20,warmup=4"},
    {"flt", "m=3,dk=2,dv=2,memory=performer,hidden=4,inputs=raw"},
    {"flt", "m=3,dk=2,dv=2,memory=discount,hidden=4,omega=fixed"},
    {"flt", "m=3,dk=2,dv=2,r=2,hidden=4,spectrum=fixed"},
    {"flt", "memory=none,hidden=4"},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

// ---- an objective over tensors of all shapes: sum of a (p - b)^2 / 2 + 0.1 cos p over coordinates, a and b of the minibatch

static const opt_shape shapes[] = {
    {"scalar", 0, {0}},    {"three", 1, {3}},      {"wide", 2, {2, 3}},       {"tall", 2, {3, 2}},
    {"square", 2, {2, 2}}, {"cube", 3, {2, 3, 2}}, {"conv", 4, {2, 1, 3, 2}}, {NULL, 0, {0}},
};

static double curvature_of(flt_rng r, size_t i) {
    return 0.5 + flt_rng_uniform_at(r, 2 * i);
}

static void mixed_init(void *self, uint64_t seed, flt_real *theta) {
    const flt_objective *o = self;
    const flt_rng r = flt_rng_make(seed, "mixed/init", 0);
    for (size_t i = 0; i < o->layout.total; i++) theta[i] = (flt_real)flt_rng_normal_at(r, i);
}

static flt_real mixed_gradient(void *self, flt_batch batch, const flt_real *theta, flt_real *grad) {
    const flt_objective *o = self;
    const flt_rng r = flt_rng_make(batch.seed, "mixed/batch", batch.step);
    double loss = 0;
    for (size_t i = 0; i < o->layout.total; i++) {
        const double a = curvature_of(r, i), d = (double)theta[i] - 0.2 * flt_rng_uniform_at(r, 2 * i + 1);
        loss += a * d * d / 2 + 0.1 * cos((double)theta[i]);
        grad[i] = (flt_real)(a * d - 0.1 * sin((double)theta[i]));
    }
    return (flt_real)loss;
}

static void mixed_hessian(void *self, flt_batch batch, const flt_real *theta, const flt_real *v, flt_real *hv) {
    const flt_objective *o = self;
    const flt_rng r = flt_rng_make(batch.seed, "mixed/batch", batch.step);
    for (size_t i = 0; i < o->layout.total; i++)
        hv[i] = (flt_real)((curvature_of(r, i) - 0.1 * cos((double)theta[i])) * (double)v[i]);
}

static flt_err make_objective(const char *spec, flt_objective **out) {
    if (strcmp(spec, "mixed") != 0) return flt_task_create(spec, out);
    FLTX_TRY(flt_alloc(1, sizeof **out, out));
    **out = (flt_objective){.spec = "mixed", .layout = opt_layout(shapes), .normaliser = 1, .clip_loss = 1e6};
    (*out)->self = *out;
    (*out)->init = mixed_init;
    (*out)->gradient = mixed_gradient;
    (*out)->hessian_vector = mixed_hessian;
    return FLTE_OK;
}

static const char *const tasks[] = {"mixed", "quadratic:dimension=3,conditioning=10",
                                    "digits_mlp:width=2,depth=1,batch=4,activation=tanh,augment=false"};
enum { TASKS = sizeof tasks / sizeof *tasks };

// ---- one unroll by the kernels

typedef struct rig {
    flt_weights w;
    flt_inner inner;
    flt_unroll *u;
    flt_real *param, *state; // of the kernels
    flt_real *other, *words; // of the graph
} rig;

static rig rig_of(const subject *s, const char *task, size_t longest) {
    rig r = {.w = opt_weights(s->optimizer, s->set)};
    for (size_t i = 0; i < r.w.layout.total; i++) // away from what the start leaves at 0
        r.w.theta[i] += (flt_real)(0.1 * flt_rng_normal_at(flt_rng_make(3, "unroll/theta", 0), i));
    OPT_OK(flt_inner_create(&r.w, NULL, task, make_objective, &r.inner));
    OPT_OK(flt_unroll_create(&r.w, r.inner.objective, longest, &r.u));
    r.param = opt_array(r.inner.params);
    r.state = opt_array(r.inner.state);
    r.other = opt_array(r.inner.params);
    r.words = opt_array(flt_unroll_words(r.u));
    return r;
}

static void rig_free(rig *r) {
    flt_unroll_destroy(r->u);
    flt_inner_destroy(&r->inner);
    flt_weights_free(&r->w);
    flt_free(r->param);
    flt_free(r->state);
    flt_free(r->other);
    flt_free(r->words);
}

static double slope_of(size_t t) {
    return 0.5 + 0.1 * (double)t; // no two alike
}

static double unroll(rig *r, const flt_real *theta, uint64_t seed, size_t from, size_t steps) {
    double sum = 0;
    flt_optimizer_bind(r->inner.optimizer, theta);
    for (size_t t = 0; t < steps; t++)
        sum += slope_of(t) * (double)flt_inner_step(&r->inner, seed, from + t, false, r->param, r->state);
    return sum;
}

// ---- the same path

Test(meta_unroll, graphs_take_the_kernels_path) {
    for (size_t k = 0; k < SUBJECTS * TASKS; k++) {
        const subject *s = &subjects[k % SUBJECTS];
        rig r = rig_of(s, tasks[k / SUBJECTS], STEPS);
        flt_inner_begin(&r.inner, 7, r.param, r.state);
        flt_unroll_start(r.u, 7, r.other, r.words);
        flt_unroll_open(r.u, 7, 0);
        for (size_t t = 0; t < STEPS; t++) {
            const double a = flt_inner_step(&r.inner, 7, t, false, r.param, r.state), b = flt_unroll_step(r.u, r.other, r.words);
            double error = 0, scale = 0;
            for (size_t i = 0; i < r.inner.params; i++) {
                error += pow((double)(r.param[i] - r.other[i]), 2);
                scale += pow((double)r.param[i], 2);
            }
            // features are divided by what they are small beside: a digit or two a step
            const double ratio = sqrt(error / scale) / (FLTX_EPS * 1e3 * (double)(t + 1));
            cr_assert(ratio < 30, "%s %s on %s: step %zu, ratio %g", s->optimizer, s->set, tasks[k / SUBJECTS], t, ratio);
            cr_assert(fabs(a - b) < 3e4 * FLTX_EPS * (double)(t + 1) * fabs(a), "%s %s: loss %.17g and %.17g", s->optimizer,
                      s->set, a, b);
        }
        rig_free(&r);
    }
}

// ---- the derivative

typedef struct quality { // over all meta-parameters
    double error, scale, worst;
    size_t at;
} quality;

// A window of STEPS steps that begins after `from` steps, from a start that theta did not touch.
static quality compare(rig *r, size_t from) {
    const size_t n = r->w.layout.total, P = r->inner.params;
    flt_real *theta = opt_array(n), *start = opt_array(P), *moments = opt_array(r->inner.state);
    double slope[STEPS], *gradient = NULL;
    quality q = {0};
    OPT_OK(flt_alloc(n, sizeof *gradient, &gradient));
    flt_inner_begin(&r->inner, 7, start, moments);
    flt_unroll_start(r->u, 7, r->other, r->words);
    flt_unroll_open(r->u, 7, 0);
    flt_optimizer_bind(r->inner.optimizer, r->w.theta);
    for (size_t t = 0; t < from; t++) {
        flt_inner_step(&r->inner, 7, t, false, start, moments);
        flt_unroll_step(r->u, r->other, r->words);
    }
    flt_unroll_open(r->u, 7, from);
    for (size_t t = 0; t < STEPS; t++) {
        flt_unroll_step(r->u, r->other, r->words);
        slope[t] = slope_of(t);
    }
    cr_assert(flt_unroll_gradient(r->u, &(flt_unroll_sum){.slope = slope}, gradient));
    for (size_t i = 0; i < n; i += 1 + n / COMPONENTS) {
        double value[2];
        for (int side = 0; side < 2; side++) {
            memcpy(theta, r->w.theta, n * sizeof *theta);
            memcpy(r->param, start, P * sizeof *start);
            memcpy(r->state, moments, r->inner.state * sizeof *moments);
            theta[i] = (flt_real)((double)theta[i] + (side == 0 ? DIFFERENCE : -DIFFERENCE));
            value[side] = unroll(r, theta, 7, from, STEPS);
        }
        const double want = (value[0] - value[1]) / (2 * DIFFERENCE), off = fabs(gradient[i] - want);
        q.error += off * off;
        q.scale += want * want;
        if (off > q.worst) q.worst = off, q.at = i;
    }
    q.error = sqrt(q.error);
    q.scale = sqrt(q.scale);
    flt_free(gradient);
    flt_free(theta);
    flt_free(start);
    flt_free(moments);
    return q;
}

// In double the differences keep 9 digits and rarely cross a kink; in float they keep 2, and cross some.
#ifdef FLTX_DOUBLE
static const double bound = 1e-6;
#else
static const double bound = 0.1;
#endif

static void check_task(const char *task, size_t from) {
    for (size_t k = 0; k < SUBJECTS; k++) {
        rig r = rig_of(&subjects[k], task, STEPS);
        const quality q = compare(&r, from);
        cr_assert(q.error <= bound * q.scale, "%s %s on %s: off by %g beside %g, by %g in meta-parameter %zu",
                  subjects[k].optimizer, subjects[k].set, task, q.error, q.scale, q.worst, q.at);
        rig_free(&r);
    }
}

Test(meta_unroll, gradients_are_central_differences_mixed) {
    check_task(tasks[0], 0);
}

Test(meta_unroll, gradients_are_central_differences_quadratic) {
    check_task(tasks[1], 0);
}

Test(meta_unroll, gradients_are_central_differences_digits) {
    check_task(tasks[2], 0);
}

// A window in the midst of a run: what came before counts as given.
Test(meta_unroll, windows_begin_where_they_are_told) {
    check_task(tasks[1], 7);
}

#ifdef FLTX_DOUBLE
static void no_hessian(void *self, flt_batch batch, const flt_real *theta, const flt_real *v, flt_real *hv) {
    const flt_objective *o = self;
    (void)batch, (void)theta, (void)v;
    memset(hv, 0, o->layout.total * sizeof *hv);
}

// Without the second-order terms the same judge says no.
Test(meta_unroll, forgetting_second_order_terms_is_caught) {
    for (size_t k = 0; k < SUBJECTS; k++) {
        rig r = rig_of(&subjects[k], "mixed", STEPS);
        r.inner.objective->hessian_vector = no_hessian;
        const quality q = compare(&r, 0);
        cr_assert(q.error > 10 * bound * q.scale, "%s %s: off by %g beside %g alone", subjects[k].optimizer, subjects[k].set,
                  q.error, q.scale);
        rig_free(&r);
    }
}
#endif

// ---- windows and memory

static void run_window(flt_unroll *u, size_t n, double *gradient) {
    double slope[STEPS];
    flt_real *param = opt_array(3), *state = opt_array(flt_unroll_words(u));
    memset(gradient, 0, n * sizeof *gradient);
    flt_unroll_start(u, 7, param, state);
    flt_unroll_open(u, 7, 0);
    for (size_t t = 0; t < STEPS; t++) {
        slope[t] = slope_of(t);
        flt_unroll_step(u, param, state);
    }
    cr_assert(flt_unroll_gradient(u, &(flt_unroll_sum){.slope = slope}, gradient));
    flt_free(param);
    flt_free(state);
}

// How often states are kept, and who used the object before, leaves no trace; running allocates nothing.
Test(meta_unroll, recomputing_gives_the_same_bits) {
    rig r = rig_of(&subjects[5], tasks[1], STEPS);
    flt_unroll *rare = NULL;
    double first[1024], second[1024];
    const size_t n = r.w.layout.total;
    cr_assert(lt(sz, n, 1024));
    OPT_OK(flt_unroll_create(&r.w, r.inner.objective, STEPS * STEPS, &rare));
    run_window(r.u, n, first);
    run_window(rare, n, second);
    cr_assert(eq(int, memcmp(first, second, n * sizeof *first), 0));
    run_window(r.u, n, second);
    cr_assert(eq(int, memcmp(first, second, n * sizeof *first), 0));
    flt_unroll_destroy(rare);
    rig_free(&r);
}

static bool always(void *with) {
    ++*(int *)with;
    return true;
}

Test(meta_unroll, steps_and_gradients_allocate_nothing_and_stop_when_told) {
    rig r = rig_of(&subjects[3], tasks[1], STEPS);
    double slope[STEPS], *gradient = NULL;
    int asked = 0;
    OPT_OK(flt_alloc(r.w.layout.total, sizeof *gradient, &gradient));
    const size_t before = flt_alloc_count();
    flt_unroll_start(r.u, 7, r.other, r.words);
    flt_unroll_open(r.u, 7, 0);
    for (size_t t = 0; t < STEPS; t++) {
        slope[t] = 1;
        flt_unroll_step(r.u, r.other, r.words);
    }
    cr_assert(flt_unroll_gradient(r.u, &(flt_unroll_sum){.slope = slope}, gradient));
    cr_assert(eq(sz, flt_alloc_count(), before));
    cr_assert(not(flt_unroll_gradient(r.u, &(flt_unroll_sum){.slope = slope, .stop = always, .with = &asked}, gradient)));
    cr_assert(eq(int, asked, 1));
    flt_free(gradient);
    rig_free(&r);
}

static flt_real cliff_gradient(void *self, flt_batch batch, const flt_real *theta, flt_real *grad) {
    const flt_real loss = mixed_gradient(self, batch, theta, grad);
    return batch.step >= 6 ? (flt_real)NAN : loss;
}

// From the first loss that is not finite on nothing moves, and only the steps before it count.
Test(meta_unroll, a_loss_that_is_not_finite_ends_the_window) {
    rig r = rig_of(&subjects[3], "mixed", STEPS);
    double slope[STEPS], whole[1024] = {0}, cut[1024] = {0};
    cr_assert(lt(sz, r.w.layout.total, 1024));
    for (int turn = 0; turn < 2; turn++) {
        flt_unroll_start(r.u, 7, r.other, r.words);
        flt_unroll_open(r.u, 7, 0);
        if (turn == 1) r.inner.objective->gradient = cliff_gradient;
        for (size_t t = 0; t < STEPS; t++) {
            slope[t] = slope_of(t);
            if (turn == 1 || t < 6) cr_assert(eq(int, isfinite(flt_unroll_step(r.u, r.other, r.words)) != 0, t < 6));
        }
        cr_assert(flt_unroll_gradient(r.u, &(flt_unroll_sum){.slope = slope}, turn == 0 ? whole : cut));
    }
    cr_assert(eq(int, memcmp(whole, cut, sizeof whole), 0));
    rig_free(&r);
}

// ---- refusals

static void refused(const char *optimizer, const char *set, const char *const *words) {
    flt_weights w = opt_weights(optimizer, set);
    flt_objective *o = NULL;
    flt_unroll *u = NULL;
    OPT_OK(make_objective("mixed", &o));
    cr_assert(eq(int, flt_unroll_create(&w, o, STEPS, &u), FLTE_UNSUPPORTED));
    cr_assert(eq(ptr, u, NULL));
    for (; *words != NULL; words++) cr_assert(strstr(flt_error(), *words) != NULL, "%s: %s", *words, flt_error());
    flt_objective_destroy(o);
    flt_weights_free(&w);
}

Test(meta_unroll, what_has_no_graph_says_what_has) {
    refused("flt", "memory=window", (const char *[]){"memory=window", "performer", "discount", "none", NULL});
    refused("flt", "memory=spe_sine", (const char *[]){"memory=spe_sine", "performer", NULL});
    refused("flt_tensor", "", (const char *[]){"flt_tensor", "lstm", "mlp_lopt", "small_fc_lopt", "celo2", NULL});
}

Test(meta_unroll, a_task_without_second_derivatives_is_refused) {
    flt_weights w = opt_weights("lstm", "");
    flt_objective *o = NULL;
    flt_unroll *u = NULL;
    OPT_OK(make_objective("mixed", &o));
    o->hessian_vector = NULL;
    cr_assert(eq(int, flt_unroll_create(&w, o, STEPS, &u), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "second derivatives") != NULL, "%s", flt_error());
    flt_objective_destroy(o);
    flt_weights_free(&w);
}

// Creation survives running out of memory anywhere.
Test(meta_unroll, no_memory) {
    flt_weights w = opt_weights("flt", "m=2,dk=1,dv=1,r=1,hidden=2,layers=1");
    flt_objective *o = NULL;
    flt_unroll *u = NULL;
    flt_err err = FLTE_NOMEM;
    OPT_OK(flt_task_create(tasks[1], &o));
    for (long n = 0; err == FLTE_NOMEM; n += 1 + n / 8) {
        const size_t live = flt_live_blocks();
        flt_fail_alloc_after(n);
        err = flt_unroll_create(&w, o, STEPS, &u);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_NOMEM || err == FLTE_OK, "request %ld: %s", n, flt_error());
        if (err == FLTE_NOMEM) cr_assert(eq(sz, flt_live_blocks(), live), "request %ld", n);
    }
    flt_unroll_destroy(u);
    flt_objective_destroy(o);
    flt_weights_free(&w);
}
