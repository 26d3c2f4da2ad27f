// SPDX-License-Identifier: MIT
// Forward allocates nothing and leaves its inputs alone.
#include "engine/problem.h"

#include "flt/memory.h"

#include <string.h>

static flt_err quiet(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, flt_attention *plan, flt_real *copy) {
    const size_t n = flt_problem_rows(p) * p->d, before = flt_alloc_count();
    memcpy(copy, p->k, n * sizeof *copy);
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    const size_t made = flt_alloc_count() - before;
    FLTX_TRY(flt_check_claim(c, kind->kind.name, flt_problem_label(p, "allocations"), made == 0, (double)made));
    return flt_check_claim(c, kind->kind.name, flt_problem_label(p, "inputs preserved"),
                           memcmp(copy, p->k, n * sizeof *copy) == 0, 0.0);
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL;
    flt_real *copy = NULL;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->d, sizeof *copy, &copy);
    if (err == FLTE_OK) err = quiet(c, kind, p, plan, copy);
    flt_free(copy);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_allocation = {.kind = {.name = "allocation",
                                                           .summary = "forward allocates nothing and preserves its inputs",
                                                           .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
                                                  .run = run};
