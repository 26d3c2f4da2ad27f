// SPDX-License-Identifier: MIT
// Bidirectional attention does not know an order beyond the positions it is given: permuting tokens and positions together
// permutes the outputs. Mechanisms in the frequency domain know the order, but not its direction: a reversal reverses.
//
// A random permutation where the mechanism has no order of its own, with its positions where it takes some; the reversal for
// those that take x. It would fail for an index that is used as a position, for a tile whose edge is treated differently, for a
// transform that is one token off, for the sign of a sine.
#include "engine/problem.h"

#include "flt/memory.h"

#include <string.h>

// Row order[i] of x [batches, n, width] goes to row i; room [n, width].
static void permute(size_t batches, size_t n, size_t width, const uint32_t *order, flt_real *x, flt_real *room) {
    for (size_t b = 0; b < batches; b++, x += n * width) {
        memcpy(room, x, n * width * sizeof *x);
        for (size_t i = 0; i < n; i++) memcpy(x + i * width, room + order[i] * width, width * sizeof *x);
    }
}

static void permute_all(flt_problem *p, const uint32_t *order, flt_real *want, flt_real *room, double *old) {
    const size_t bh = p->B * p->H;
    permute(bh, p->N, p->dv, order, want, room);
    permute(bh, p->N, p->d, order, p->q, room);
    permute(bh, p->N, p->d, order, p->k, room);
    permute(bh, p->N, p->dv, order, p->v, room);
    for (size_t i = 0; i < p->N * p->l; i++) old[i] = p->pos[order[i / p->l] * p->l + i % p->l];
    memcpy(p->pos, old, p->N * p->l * sizeof *old);
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    const bool reversed = (kind->kind.caps & FLTX_ATT_X) != 0;
    flt_attention *plan = NULL, *turned = NULL;
    flt_real *want = NULL, *room = NULL;
    uint32_t *order = NULL;
    double *old = NULL;
    if (p->causal || p->N < 2) return FLTE_OK;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) err = flt_alloc(p->N * (p->d + p->dv), sizeof *room, &room);
    if (err == FLTE_OK) err = flt_alloc(p->N, sizeof *order, &order);
    if (err == FLTE_OK) err = flt_alloc(p->N * p->l, sizeof *old, &old);
    if (err == FLTE_OK) {
        flt_rng_permutation(flt_rng_make(p->seed, "order", p->N), p->N, order);
        for (size_t i = 0; reversed && i < p->N; i++) order[i] = (uint32_t)(p->N - 1 - i);
        flt_attention_forward(plan, p->q, p->k, p->v, want);
        permute_all(p, order, want, room, old);
        err = flt_problem_plan(p, kind, 1, 0, NULL, &turned);
    }
    if (err == FLTE_OK) {
        const double exponent = (kind->kind.caps & FLTX_ATT_RANDOM) != 0 ? 40.0 : 8.0;
        flt_attention_forward(turned, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, reversed ? "order reversed" : "order permuted"),
                             flt_output_ratio(p, p->out, want, exponent));
    }
    flt_free(old);
    flt_free(order);
    flt_free(room);
    flt_free(want);
    flt_attention_destroy(plan);
    flt_attention_destroy(turned);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    if ((kind->kind.caps & (FLTX_ATT_PERMUTE | FLTX_ATT_RPE | FLTX_ATT_X)) == 0) return FLTE_OK; // an order of its own
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_permutation = {
    .kind = {.name = "permutation",
             .summary = "permuting tokens with their positions permutes the outputs; a reversal reverses mixing over frequencies",
             .formula = "out(P q, P k, P v, P r) = P out(q, k, v, r)",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
