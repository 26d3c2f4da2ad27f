// SPDX-License-Identifier: MIT
// The backward pass is the adjoint of the derivative of the forward pass: <J dx, w> = <dx, J' w> for random directions dx of q, k
// and v together and random w.
//
// J dx is a central difference of sixth order, (45 (f1 - f-1) - 9 (f2 - f-2) + (f3 - f-3)) / 60h: what the difference loses, 1/h,
// is part of the ratio's growth. Problems whose keys shrink from far out make the causal scales move: it would fail for a reverse
// state that is not rescaled, for a forgotten denominator, for a term of a feature map left out. (Arguments' gradients, and
// agreement to eps, are held against loops by the tests of core/attention.)
#include "engine/problem.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>

enum { Q, K, V };

typedef struct room {
    flt_real *x[3], *dir[3], *grad[3], *w; // moved inputs, directions, gradients; weights of the outputs
} room;

static void room_destroy(room *r) {
    for (size_t i = 0; i < 3; i++) {
        flt_free(r->x[i]);
        flt_free(r->dir[i]);
        flt_free(r->grad[i]);
    }
    flt_free(r->w);
}

static size_t count_of(const flt_problem *p, size_t which) {
    return flt_problem_rows(p) * (which < V ? p->d : p->dv);
}

static flt_err room_create(const flt_problem *p, room *r) {
    const flt_rng root = flt_rng_make(p->seed, "gradient", p->N);
    for (size_t i = 0; i < 3; i++) {
        FLTX_TRY(flt_alloc(count_of(p, i), sizeof(flt_real), &r->x[i]));
        FLTX_TRY(flt_alloc(count_of(p, i), sizeof(flt_real), &r->dir[i]));
        FLTX_TRY(flt_alloc(count_of(p, i), sizeof(flt_real), &r->grad[i]));
        flt_rng_normal(flt_rng_child(root, "direction", i), 0, count_of(p, i), r->dir[i]);
    }
    FLTX_TRY(flt_alloc(count_of(p, V), sizeof(flt_real), &r->w));
    flt_rng_normal(flt_rng_child(root, "weight", 0), 0, count_of(p, V), r->w);
    return FLTE_OK;
}

// <f(x + by dx), w>, summed in double
static double value(flt_attention *plan, const flt_problem *p, room *r, double by) {
    const flt_real *in[3] = {p->q, p->k, p->v};
    double sum = 0.0;
    for (size_t t = 0; t < 3; t++) {
        for (size_t i = 0; i < count_of(p, t); i++) r->x[t][i] = (flt_real)((double)in[t][i] + by * (double)r->dir[t][i]);
    }
    flt_attention_forward(plan, r->x[0], r->x[1], r->x[2], p->out);
    for (size_t i = 0; i < count_of(p, V); i++) sum += (double)p->out[i] * (double)r->w[i];
    return sum;
}

static double difference(flt_attention *plan, const flt_problem *p, room *r, double h) {
    static const double weight[3] = {45, -9, 1};
    double sum = 0.0;
    for (int s = 1; s <= 3; s++) sum += weight[s - 1] * (value(plan, p, r, s * h) - value(plan, p, r, -s * h));
    return sum / (60.0 * h);
}

// Features of a coordinate may have a kink at zero: coordinates that the differences would carry across it stay where they are.
static void avoid_zero(const flt_problem *p, room *r, double h) {
    const flt_real *in[2] = {p->q, p->k};
    for (size_t t = 0; t < V; t++) {
        for (size_t i = 0; i < count_of(p, t); i++) {
            if (fabs((double)in[t][i]) <= 4.0 * h * fabs((double)r->dir[t][i])) r->dir[t][i] = 0;
        }
    }
}

// steep: how much faster than usual the logits change along dx
static flt_err compare(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, flt_attention *plan, room *r,
                       const char *what, double steep) {
    // small: |z| z of fftnet has no third derivative at 0, and among many z one comes near
    const double h = (sizeof(flt_real) == 4 ? 0.03 : 2e-4) / (steep * sqrt((double)p->d));
    avoid_zero(p, r, h);
    const double got = difference(plan, p, r, h);
    double want = 0.0, size = 0.0, norm = 0.0;
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    const flt_attention_pass pass = {
        .q = p->q, .k = p->k, .v = p->v, .out = p->out, .dout = r->w, .dq = r->grad[0], .dk = r->grad[1], .dv = r->grad[2]};
    FLTX_TRY(flt_attention_backward(plan, &pass));
    for (size_t t = 0; t < 3; t++) {
        for (size_t i = 0; i < count_of(p, t); i++) want += (double)r->dir[t][i] * (double)r->grad[t][i];
        norm += flt_sum_squares(count_of(p, t), r->grad[t]);
    }
    size = sqrt(norm) + sqrt(flt_sum_squares(count_of(p, V), p->out)) * (steep + log2(2.0 * (double)p->N)) / h;
    return flt_check_case(c, kind->kind.name, flt_problem_label(p, what), fabs(got - want) / (FLTX_EPS * size));
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL;
    room r = {0};
    flt_err err = flt_problem_plan_smooth(p, kind, 0, NULL, &plan);
    if (err == FLTE_OK) err = room_create(p, &r);
    if (err == FLTE_OK) err = compare(c, kind, p, plan, &r, "adjoint", 1.0);
    const double far = 25.0 / sqrt((double)p->d); // |k| falls from 25: log features climb by hundreds
    for (size_t i = 0; i < count_of(p, K); i++) p->k[i] *= (flt_real)(far * (1.0 - (double)(i / p->d % p->N) / (double)p->N));
    if (err == FLTE_OK) err = compare(c, kind, p, plan, &r, "adjoint, keys from far out", 25.0);
    flt_attention_destroy(plan);
    room_destroy(&r);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    return flt_each_problem(c, kind, on_problem);
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_BACKWARD, on_mechanism);
}

const flt_check_kind flt_check_kind_gradient = {
    .kind = {.name = "gradient",
             .summary = "the backward pass is the adjoint of the forward pass's derivative",
             .formula = "<J dx, w> = <dx, J' w>",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
