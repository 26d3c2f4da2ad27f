// SPDX-License-Identifier: MIT
// Causal attention does not see the future: changing tokens t+1 .. N-1, even by a factor of a thousand, leaves rows 0 .. t alone.
//
// It would fail for a mask off by one, for a chunk that sees its whole self, and for a key scale taken over the whole sequence
// when an epsilon follows. Rows must agree to a few eps (a running scale may change the order of exact operations, never the
// digits).
#include "engine/problem.h"

#include "flt/memory.h"

#include <string.h>

// Tokens behind t become other, larger ones.
static void disturb(flt_problem *p, size_t t) {
    for (size_t row = 0; row < p->B * p->H; row++) {
        for (size_t i = t + 1; i < p->N; i++) {
            flt_real *k = p->k + (row * p->N + i) * p->d, *q = p->q + (row * p->N + i) * p->d,
                     *v = p->v + (row * p->N + i) * p->dv;
            for (size_t c = 0; c < p->d; c++) k[c] = 3 * k[c] + 1, q[c] = -2 * q[c];
            for (size_t c = 0; c < p->dv; c++) v[c] = 1000 * v[c] + 7;
        }
    }
}

static double past_ratio(const flt_problem *p, const flt_real *before, size_t t) {
    double worst = 0.0;
    for (size_t row = 0; row < p->B * p->H; row++) {
        for (size_t i = 0; i < (t + 1) * p->dv; i++) {
            const double e = (double)p->out[row * p->N * p->dv + i] - (double)before[row * p->N * p->dv + i];
            if (!((e < 0 ? -e : e) <= worst)) worst = e < 0 ? -e : e;
        }
    }
    return worst / FLTX_EPS;
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *plan = NULL;
    flt_real *before = NULL;
    const size_t n = flt_problem_rows(p) * p->dv, t = (2 * p->N) / 3;
    if (!p->causal || p->N < 2) return FLTE_OK;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_alloc(n, sizeof *before, &before);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, before);
        disturb(p, t);
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, "future changed"), past_ratio(p, before, t));
    }
    flt_free(before);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_CAUSAL, on_mechanism);
}

const flt_check_kind flt_check_kind_causality = {.kind = {.name = "causality",
                                                          .summary = "changing the future leaves past outputs alone",
                                                          .formula = "out_i(q, k, v) = out_i(q', k', v') where rows 0 .. i agree",
                                                          .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
                                                 .run = run};
