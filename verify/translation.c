// SPDX-License-Identifier: MIT
// Relative encodings see differences of positions only: adding one vector to every position leaves the output alone.
//
// It would fail for a cosine swapped with a sine on one side, for absolute positions that slip in, and for phases reduced in single
// precision (the shift is large). The ratio allows for the rounding of r_i - r_j at that shift.
#include "engine/problem.h"

#include "flt/memory.h"

#include <math.h>
#include <string.h>

// A power of two, so that the fractions of positions in [0, 1) move by at most 2^-43 in double.
static const double SHIFT = 512.0;

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_attention *here = NULL, *there = NULL;
    flt_real *want = NULL;
    const size_t n = flt_problem_rows(p) * p->dv;
    flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &here);
    for (size_t i = 0; i < p->N * p->l; i++) p->pos[i] += SHIFT;
    if (err == FLTE_OK) err = flt_problem_plan(p, kind, 1, 0, NULL, &there);
    if (err == FLTE_OK) err = flt_alloc(n, sizeof *want, &want);
    if (err == FLTE_OK) {
        // rounding of positions at SHIFT, times the frequencies' phases: far below float, several digits of double
        const double slack = SHIFT * 2.2e-16 * 40.0 / FLTX_EPS;
        flt_attention_forward(here, p->q, p->k, p->v, want);
        flt_attention_forward(there, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, "positions + 512"), flt_output_ratio(p, p->out, want, 8.0 + slack));
    }
    flt_free(want);
    flt_attention_destroy(here);
    flt_attention_destroy(there);
    return err;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) { return flt_each_problem(c, kind, on_problem); }
static flt_err run(flt_check_context *c) { return flt_each_mechanism(c, FLTX_ATT_RPE, on_mechanism); }

const flt_check_kind flt_check_kind_translation = {
    .kind = {.name = "translation", .summary = "a shift of all positions leaves the output alone",
             .formula = "out(r + s) = out(r)", .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
