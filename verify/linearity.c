// SPDX-License-Identifier: MIT
// Attention is linear in V: attend(a v + b u) = a attend(v) + b attend(u), and V of ones gives ones where rows are normalised.
//
// It would fail for a value that leaks into the weights, or for a denominator that sums other weights than the numerator.
#include "engine/problem.h"

#include "flt/memory.h"

static flt_err ones(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, flt_attention *plan, flt_real *v,
                    flt_real *want) {
    const size_t n = flt_problem_rows(p) * p->dv;
    if ((kind->kind.caps & FLTX_ATT_NORMALISED) == 0) return FLTE_OK;
    for (size_t i = 0; i < n; i++) v[i] = want[i] = 1;
    flt_attention_forward(plan, p->q, p->k, v, p->out);
    return flt_check_case(c, kind->kind.name, flt_problem_label(p, "V of ones"), flt_output_ratio(p, p->out, want, 0.0));
}

static flt_err combination(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, flt_attention *plan,
                           flt_real *v, flt_real *want) {
    const size_t n = flt_problem_rows(p) * p->dv;
    const flt_real a = (flt_real)0.625, b = (flt_real)-1.375;
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    for (size_t i = 0; i < n; i++) want[i] = a * p->out[i];
    for (size_t i = 0; i < n; i++) v[i] = p->v[n - 1 - i];
    flt_attention_forward(plan, p->q, p->k, v, p->out);
    for (size_t i = 0; i < n; i++) want[i] += b * p->out[i];
    for (size_t i = 0; i < n; i++) v[i] = a * p->v[i] + b * p->v[n - 1 - i];
    flt_attention_forward(plan, p->q, p->k, v, p->out);
    return flt_check_case(c, kind->kind.name, flt_problem_label(p, "a v + b u"), flt_output_ratio(p, p->out, want, 0.0));
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL;
    flt_real *v = NULL, *want = NULL;
    const size_t n = flt_problem_rows(p) * p->dv;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(n, sizeof *v, &v);
    if (err == FLTE_OK) err = flt_alloc(n, sizeof *want, &want);
    if (err == FLTE_OK) err = combination(c, kind, p, plan, v, want);
    if (err == FLTE_OK) err = ones(c, kind, p, plan, v, want);
    flt_free(v);
    flt_free(want);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    if ((kind->kind.caps & FLTX_ATT_MIXING) != 0) return FLTE_OK; // there is no v
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_linearity = {
    .kind = {.name = "linearity",
             .summary = "linear in V; V of ones gives ones where rows are normalised",
             .formula = "A(a v + b u) = a A v + b A u, A 1 = 1",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
