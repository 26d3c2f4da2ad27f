// SPDX-License-Identifier: MIT
// Streaming token by token in constant state equals the causal batch.
//
// It would fail for a state that is not rescaled when the key scale grows, for a position table read one token late, and for a
// state that survives `begin`.
#include "engine/problem.h"

#include "flt/memory.h"

#include <string.h>

// Token t of every batch and head, gathered from x [B, H, N, w] into [B, H, w], or scattered back.
static void gather(const flt_problem *p, const flt_real *x, size_t width, size_t t, flt_real *token) {
    for (size_t i = 0; i < p->B * p->H; i++) memcpy(token + i * width, x + (i * p->N + t) * width, width * sizeof *token);
}

static void scatter(const flt_problem *p, const flt_real *token, size_t t, flt_real *x) {
    for (size_t i = 0; i < p->B * p->H; i++) memcpy(x + (i * p->N + t) * p->dv, token + i * p->dv, p->dv * sizeof *token);
}

static void stream(const flt_problem *p, flt_attention *plan, flt_real *buffer) {
    const size_t bh = p->B * p->H;
    flt_real *q = buffer, *k = q + bh * p->d, *v = k + bh * p->d, *out = v + bh * p->dv;
    for (size_t t = 0; t < p->N; t++) {
        gather(p, p->q, p->d, t, q);
        gather(p, p->k, p->d, t, k);
        gather(p, p->v, p->dv, t, v);
        flt_attention_step(plan, q, k, v, out);
        scatter(p, out, t, p->out);
    }
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL;
    flt_real *want = NULL, *buffer = NULL;
    if (!p->causal) return FLTE_OK;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) err = flt_alloc(2 * p->B * p->H * (p->d + p->dv), sizeof *buffer, &buffer);
    if (err == FLTE_OK) flt_attention_forward(plan, p->q, p->k, p->v, want);
    for (int round = 0; round < 2 && err == FLTE_OK; round++) { // the second round shows that begin forgets
        err = flt_attention_begin(plan);
        if (err == FLTE_OK) stream(p, plan, buffer);
    }
    if (err == FLTE_OK)
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, "token by token"), flt_output_ratio(p, p->out, want, 16.0));
    flt_free(want);
    flt_free(buffer);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_STREAM | FLTX_ATT_CAUSAL, on_mechanism);
}

const flt_check_kind flt_check_kind_streaming = {.kind = {.name = "streaming",
                                                          .summary = "token by token in constant state equals the causal batch",
                                                          .formula = "step(q_t, k_t, v_t) = out_t",
                                                          .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
                                                 .run = run};
