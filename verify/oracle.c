// SPDX-License-Identifier: MIT
// The fast path computes what its formula says: every mechanism against O(N^2) loops in long double that use the same draws.
//
// It would fail for a dropped 1/sqrt(d), a wrong sign of a lag, a missing |k|^2/2, a stabiliser that does not cancel.
#include "engine/oracle.h"
#include "engine/settings.h"

#include "flt/memory.h"

#include <stdio.h>
#include <string.h>

// extra [n]: arguments beside those that the problem has.
static flt_err compare(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, size_t n,
                       const flt_attention_arg *extra, const char *label) {
    flt_attention *plan = NULL;
    flt_real *want = NULL;
    double exponent = 0.0;
    flt_err err = flt_problem_plan(p, kind, 1, n, extra, &plan);
    if (err == FLTE_OK) err = flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want);
    if (err == FLTE_OK) err = flt_oracle_attention(p, plan, want, &exponent);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        err = flt_check_case(c, kind->kind.name, flt_problem_label(p, label), flt_output_ratio(p, p->out, want, exponent));
    }
    flt_free(want);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    return compare(c, kind, p, 0, NULL, p->options);
}

static flt_err on_setting(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, const flt_given_args *given) {
    return compare(c, kind, p, given->n, given->args, given->label);
}

// Keys that shrink along the sequence, so that their features exp(-|k|^2 / 2 ..) grow by many orders of magnitude, under queries
// three times as large: running scales must move, and must cancel when they do.
static flt_err shrinking_keys(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    for (size_t row = 0; row < p->B * p->H; row++) {
        for (size_t i = 0; i < p->N; i++) {
            flt_real *k = p->k + (row * p->N + i) * p->d, *q = p->q + (row * p->N + i) * p->d;
            for (size_t a = 0; a < p->d; a++) k[a] *= 1 + 12 * (flt_real)(p->N - i) / (flt_real)p->N, q[a] *= 3;
        }
    }
    return on_problem(c, kind, p);
}

// Every other choice that the mechanism's parameters offer, one at a time. What a choice cannot do at a shape is no failure.
static flt_err with_choice(flt_check_context *c, const flt_attention_kind *kind, const char *name, const char *choice) {
    static const size_t sizes[] = {1, 2, 33, 70};
    char options[96];
    snprintf(options, sizeof options, "%s=%s", name, choice);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int causal = 0; causal <= ((kind->kind.caps & FLTX_ATT_CAUSAL) != 0); causal++) {
            const flt_problem shape = {.B = 2,
                                       .H = 2,
                                       .N = sizes[i],
                                       .d = 5,
                                       .dv = (kind->kind.caps & FLTX_ATT_MIXING) != 0 ? 5 : 4,
                                       .l = 1 + i % 3,
                                       .m = 9,
                                       .r = 4,
                                       .causal = causal != 0,
                                       .seed = c->config->seed + i,
                                       .options = options};
            flt_problem *p = NULL;
            FLTX_TRY(flt_problem_create(&shape, &p));
            const flt_err err = on_problem(c, kind, p);
            flt_problem_destroy(p);
            if (err == FLTE_UNSUPPORTED)
                flt_error_clear();
            else
                FLTX_TRY(err);
        }
    }
    return FLTE_OK;
}

static flt_err choices(flt_check_context *c, const flt_attention_kind *kind) {
    for (const flt_param_spec *s = kind->kind.params; s != NULL && s->name != NULL; s++) {
        const char *at = s->choices;
        while (s->type == FLTX_ENUM && at != NULL && *at != '\0') {
            char choice[32];
            const int length = (int)strcspn(at, "|");
            snprintf(choice, sizeof choice, "%.*s", length, at);
            if (strcmp(choice, s->initial) != 0) FLTX_TRY(with_choice(c, kind, s->name, choice));
            at += (size_t)length + (at[length] == '|');
        }
    }
    return FLTE_OK;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    FLTX_TRY(flt_each_setting(c, kind, on_setting));
    FLTX_TRY(choices(c, kind));
    FLTX_TRY(flt_each_problem(c, kind, on_problem));
    return flt_each_problem(c, kind, shrinking_keys);
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_oracle = {
    .kind = {.name = "oracle",
             .summary = "the fast path equals plain loops in long double with the same draws",
             .formula = "|out - oracle|_rms <= 30 eps (1 + |largest exponent| + log2 2N) max|v|",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
