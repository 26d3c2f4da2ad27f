// SPDX-License-Identifier: MIT
// Bidirectional attention does not know an order beyond the positions it is given: permuting tokens and positions together
// permutes the outputs.
//
// It would fail for an index that is used as a position, and for a tile whose edge is treated differently.
#include "engine/problem.h"

#include "flt/memory.h"

#include <string.h>

static void reverse_rows(size_t batches, size_t n, size_t width, flt_real *x) {
    for (size_t b = 0; b < batches; b++) {
        for (size_t i = 0; i < n / 2; i++) {
            flt_real *low = x + (b * n + i) * width, *high = x + (b * n + n - 1 - i) * width;
            for (size_t c = 0; c < width; c++) {
                const flt_real t = low[c];
                low[c] = high[c];
                high[c] = t;
            }
        }
    }
}

static void reverse_positions(flt_problem *p) {
    for (size_t i = 0; i < p->N / 2; i++) {
        for (size_t a = 0; a < p->l; a++) {
            const double t = p->pos[i * p->l + a];
            p->pos[i * p->l + a] = p->pos[(p->N - 1 - i) * p->l + a];
            p->pos[(p->N - 1 - i) * p->l + a] = t;
        }
    }
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL, *turned = NULL;
    flt_real *want = NULL;
    const size_t bh = p->B * p->H;
    if (p->causal || p->N < 2) return FLTE_OK;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(bh * p->N * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, want);
        reverse_rows(bh, p->N, p->dv, want);
        reverse_rows(bh, p->N, p->d, p->q);
        reverse_rows(bh, p->N, p->d, p->k);
        reverse_rows(bh, p->N, p->dv, p->v);
        reverse_positions(p);
        err = flt_problem_plan(p, kind, 1, 0, NULL, &turned);
    }
    if (err == FLTE_OK) {
        flt_attention_forward(turned, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, "order reversed"), flt_output_ratio(p, p->out, want, 8.0));
    }
    flt_free(want);
    flt_attention_destroy(plan);
    flt_attention_destroy(turned);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_PERMUTE, on_mechanism);
}

const flt_check_kind flt_check_kind_permutation = {
    .kind = {.name = "permutation",
             .summary = "permuting tokens with their positions permutes the outputs",
             .formula = "out(P q, P k, P v, P r) = P out(q, k, v, r)",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
