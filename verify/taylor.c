// SPDX-License-Identifier: MIT
// Taylor attention against all its N^2 weights in long double, over encodings, orders and nodes; and that it is exact attention
// in the limit: where q.k is small and f is linear between nodes.
//
// It would fail for a node that is one off, a mask turned around (t5_buckets tell past from future), a key weight that is
// forgotten when q has a mean, a product of features counted twice.
#include "engine/oracle.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>

// Adds a mean to q and k, which centring has to take off again.
static void shift_inputs(flt_problem *p) {
    for (size_t i = 0; i < flt_problem_rows(p) * p->d; i++) {
        p->q[i] += (flt_real)0.4;
        p->k[i] -= (flt_real)0.3;
    }
}

static flt_err hold(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, const char *encoding) {
    flt_attention *plan = NULL;
    flt_real *want = NULL;
    double exponent = 0.0;
    char extra[96];
    snprintf(extra, sizeof extra, "%s %s", encoding, p->options);
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) err = flt_oracle_attention(p, plan, want, &exponent);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, extra), flt_output_ratio(p, p->out, want, exponent));
    }
    flt_free(want);
    flt_attention_destroy(plan);
    return err;
}

static flt_err with_encoding(flt_check_context *c, const flt_attention_kind *kind, const char *encoding,
                             const flt_problem *shape) {
    flt_encoding_case *e = NULL;
    flt_problem *p = NULL;
    flt_problem full = *shape;
    flt_err err = flt_encoding_case_create(encoding, shape->N, &e);
    full.encoding = e;
    if (err == FLTE_OK) err = flt_problem_create(&full, &p);
    if (err == FLTE_OK) {
        shift_inputs(p);
        err = hold(c, kind, p, encoding);
    }
    flt_problem_destroy(p);
    flt_encoding_case_destroy(e);
    return err;
}

// Small q.k, order 2, as many nodes as tokens have lags: what is left against exact attention is s^3/6.
static flt_err limit(flt_check_context *c, const flt_attention_kind *kind) {
    enum { N = 41 };
    const flt_attention_kind *exact = NULL;
    flt_encoding_case *e = NULL;
    flt_problem *p = NULL;
    flt_attention *plan = NULL, *other = NULL;
    flt_real want[N * 4] = {0};
    flt_err err = flt_encoding_case_create("t5_buckets", N, &e);
    const flt_problem shape = {.B = 1,
                               .H = 1,
                               .N = N,
                               .d = 5,
                               .dv = 4,
                               .l = 1,
                               .scale = 0.05,
                               .seed = c->config->seed,
                               .options = "order=2,nodes=40",
                               .encoding = e};
    double error = 0.0;
    if (err == FLTE_OK) err = flt_problem_create(&shape, &p);
    if (err == FLTE_OK) err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) p->options = NULL, err = flt_attention_find("exact", &exact);
    if (err == FLTE_OK) err = flt_problem_plan(p, exact, 1, 0, NULL, &other);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        flt_attention_forward(other, p->q, p->k, p->v, want);
        for (size_t i = 0; i < N * 4; i++) error = fmax(error, fabs((double)p->out[i] - (double)want[i]));
        err = flt_check_claim(c, kind->kind.name, "is exact attention on nodes, but for s^3/6", error < 1e-5, error);
    }
    flt_attention_destroy(other);
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    flt_encoding_case_destroy(e);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    static const char *const encodings[] = {"none", "gaussian_mixture", "box", "alibi", "lag_table", "t5_buckets"};
    static const char *const options[] = {"order=0", "order=1,nodes=7", "order=2,nodes=1", "order=1,centre=none", "order=2"};
    static const size_t sizes[] = {1, 2, 37, 130};
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
            const flt_problem shape = {.B = 2,
                                       .H = 2,
                                       .N = sizes[(i + o) % 4],
                                       .d = 1 + (i + 2 * o) % 7,
                                       .dv = 3,
                                       .l = 1,
                                       .scale = 0.5 + 0.5 * (double)(o % 2),
                                       .seed = c->config->seed + i,
                                       .options = options[o]};
            FLTX_TRY(with_encoding(c, kind, encodings[i], &shape));
        }
    }
    return limit(c, kind);
}

static flt_err run(flt_check_context *c) {
    const flt_attention_kind *kind = NULL;
    FLTX_TRY(flt_attention_find("taylor", &kind));
    return flt_problem_selected(c->config, "taylor") ? on_mechanism(c, kind) : FLTE_OK;
}

const flt_check_kind flt_check_kind_taylor = {
    .kind = {.name = "taylor",
             .summary =
                 "Taylor attention equals its N^2 weights in long double, for every kind of mask, and exact attention on nodes",
             .formula = "A_ij = That(r_i - r_j) exp(mean q.k_j / sqrt d) (1 + s + s^2/2)",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
