// SPDX-License-Identifier: MIT
// Inputs that break naive code, on the mechanisms whose features or codes could overflow: finite outputs within the hull of the
// values, no denominator that is not a positive number, gradients that stay finite. (The gradients of nprf are held on such
// inputs in test_attention_backward_nprf.c, its outputs also in test_attention_nprf.c.)
#include "attention_support.h"

static const struct {
    const char *mechanism, *params;
} plans[] = {
    {"linear", ""},
    {"linear", "features=relu"},
    {"nprf", "m=9"},
    {"nprf", "m=9,crossover=1"},
    {"nprf", "m=9,normalise=false"},
    {"nprf", "m=9,normalise=false,crossover=1"},
    {"spe_sine", "m=9,R=8,K=3"},
    {"spe_sine", "m=9,R=8,K=3,features=hyperbolic"},
    {"spe_sine", "R=8,K=3,kernel=exact"},
    {"spe_conv", "m=9,R=8,width=4"},
    {"spe_conv", "m=9,R=8,width=4,features=hyperbolic"},
    {"spe_conv", "R=8,width=4,kernel=exact"},
};
enum { PLANS = sizeof plans / sizeof *plans, N = 150, D = 6, DV = 3, CASES = 8 };

static void spoil(problem *p, int form) {
    const size_t rows = p->B * p->H * N;
    for (size_t i = 0; i < rows * D; i++) {
        const size_t row = i / D % N;
        if (form == 0) p->q[i] *= 3, p->k[i] *= 3;
        if (form == 1) p->q[i] *= 30, p->k[i] *= 30;
        if (form == 2 && row == 70) p->k[i] *= 1000; // one huge key
        if (form == 3) p->k[i] = p->k[i % D];        // equal keys
        if (form == 4) p->q[i] = 0;                  // no direction
        if (form == 5) p->k[i] = row % 2 ? 0 : p->k[i];
        if (form == 6) p->q[i] = -20 * (flt_real)fabs((double)p->q[i]), p->k[i] = -20 * (flt_real)fabs((double)p->k[i]);
        if (form == 7) p->q[i] = 40, p->k[i] = row < 75 ? -40 : 40; // weights over a thousand orders of magnitude
    }
}

static void gradients(const problem *p, flt_attention *a) {
    const size_t n = p->B * p->H * N;
    flt_real *d[3] = {reals(n * D), reals(n * D), reals(n * DV)};
    const flt_attention_pass pass = {p->q, p->k, p->v, p->out, p->v, d[0], d[1], d[2], 0, NULL};
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_OK), "%s", flt_error());
    for (size_t t = 0; t < 3; t++) {
        size_t first = 0;
        cr_assert(flt_all_finite(n * (t < 2 ? D : DV), d[t], &first), "%s seed %zu: gradient %zu at %zu", label(p),
                  (size_t)p->seed, t, first);
        flt_free(d[t]);
    }
}

static void try_plan_on(size_t k, int form, bool causal) {
    problem p = {.mechanism = plans[k].mechanism, .params = plans[k].params, .B = 1, .H = 2, .N = N, .d = D, .dv = DV};
    p.causal = causal, p.seed = (uint64_t)form, p.threads = 2, p.backward = true;
    inputs(&p, 1.0);
    spoil(&p, form);
    if (form % 2 && strncmp(p.mechanism, "spe", 3) == 0) add_arg(&p, "share", 0, 1, (size_t[]){D}, 0, 1);
    if (strcmp(p.mechanism, "nprf") == 0) add_arg(&p, "lag_bias", 0, 1, (size_t[]){2 * N - 1}, -20, 20);
    flt_attention *a = plan_of(&p);
    flt_attention_forward(a, p.q, p.k, p.v, p.out);
    for (size_t i = 0; i < (size_t)2 * N * DV; i++) // values lie in [-1, 1)
        cr_assert(fabs((double)p.out[i]) <= 1 + 64 * FLTX_EPS, "%s form %d: out[%zu] = %g", label(&p), form, i, (double)p.out[i]);
    if (strcmp(p.mechanism, "nprf") != 0)
        cr_assert(eq(sz, flt_attention_flagged(a), 0), "%s form %d: denominators vanish", label(&p), form);
    gradients(&p, a);
    flt_attention_destroy(a);
    drop_problem(&p);
}

Test(attention_adversarial, outputs_are_averages) {
    for (size_t k = 0; k < PLANS; k++)
        for (int form = 0; form < CASES; form++)
            for (int causal = 0; causal < 2; causal++) try_plan_on(k, form, causal);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
