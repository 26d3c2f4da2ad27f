// SPDX-License-Identifier: MIT
// A batch equals its items, and threads change nothing: both bit for bit.
//
// It would fail for a stabiliser taken over the whole batch, for a head that reads its neighbour, for a race, and for sums whose
// order depends on the number of threads.
#include "engine/problem.h"

#include "flt/memory.h"

#include <string.h>

static flt_err compare(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, const char *what,
                       const flt_real *want) {
    const size_t n = flt_problem_rows(p) * p->dv;
    size_t different = 0;
    for (size_t i = 0; i < n; i++) different += memcmp(&p->out[i], &want[i], sizeof *want) != 0;
    return flt_check_claim(c, kind->kind.name, flt_problem_label(p, what), different == 0, (double)different);
}

static flt_err with_threads(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, const flt_real *want) {
    static const char *const labels[] = {[2] = "2 threads as 1", [3] = "3 threads as 1"};
    for (int threads = 2; threads <= (c->config->full ? 3 : 2); threads++) {
        flt_attention *plan = NULL;
        FLTX_TRY(flt_problem_plan(p, kind, threads, 0, NULL, &plan));
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        flt_attention_destroy(plan);
        FLTX_TRY(compare(c, kind, p, labels[threads], want));
    }
    return FLTE_OK;
}

static flt_err one_by_one(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, const flt_real *want) {
    flt_attention *plan = NULL;
    flt_problem item = *p;
    item.B = 1;
    FLTX_TRY(flt_problem_plan(&item, kind, 1, 0, NULL, &plan));
    for (size_t b = 0; b < p->B; b++) {
        const size_t at = b * p->H * p->N;
        flt_attention_forward(plan, p->q + at * p->d, p->k + at * p->d, p->v + at * p->dv, p->out + at * p->dv);
    }
    flt_attention_destroy(plan);
    return compare(c, kind, p, "batch as singles", want);
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL;
    flt_real *want = NULL;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, want);
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        err = compare(c, kind, p, "the same call twice", want);
    }
    if (err == FLTE_OK) err = with_threads(c, kind, p, want);
    if (err == FLTE_OK) err = one_by_one(c, kind, p, want);
    flt_free(want);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_batching = {
    .kind = {.name = "batching",
             .summary = "a batch equals its items and threads change nothing, bit for bit",
             .formula = "out[b] = out of item b alone",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
