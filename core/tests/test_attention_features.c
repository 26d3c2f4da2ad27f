// SPDX-License-Identifier: MIT
// Feature maps beside the plain ones: linear attention against loops, batch and stream; unbiasedness and lower variance of
// FAVOR++, centring and hyperbolic features; what is refused.
#include "attention_support.h"

// ---- linear

static long double phi(bool relu, long double x) {
    if (relu) return fmaxl(x, 0) + 1e-3L;
    return x > 0 ? x + 1 : expl(x);
}

static void weights_of(const problem *p, size_t bh, bool relu, long double *weight) {
    const flt_real *q = p->q + bh * p->N * p->d, *k = p->k + bh * p->N * p->d;
    for (size_t i = 0; i < p->N; i++)
        for (size_t j = 0; j < p->N; j++) {
            weight[i * p->N + j] = 0;
            for (size_t c = 0; c < p->d; c++) weight[i * p->N + j] += phi(relu, q[i * p->d + c]) * phi(relu, k[j * p->d + c]);
        }
}

static void run_stream(problem *p) {
    flt_attention *a = plan_of(p);
    cr_assert(eq(int, flt_attention_begin(a), FLTE_OK), "%s", flt_error());
    for (size_t t = 0; t < p->N; t++) // one batch, one head: rows are tokens
        flt_attention_step(a, p->q + t * p->d, p->k + t * p->d, p->v + t * p->dv, p->out + t * p->dv);
    flt_attention_destroy(a);
}

static void try_linear(size_t N, bool relu, bool causal, double scale) {
    const size_t heads = N % 2 ? 1 : 2;
    problem p = {
        .mechanism = "linear", .params = relu ? "features=relu" : "features=elu", .B = heads, .H = heads, .N = N, .d = 1 + N % 9};
    p.dv = 3, p.causal = causal, p.seed = N, p.threads = 2;
    inputs(&p, scale);
    long double *weight = take(N * N, sizeof *weight), *want = take(N * p.dv, sizeof *want);
    // features are exp of their logarithm: its rounding is relative to |log|, at most log(scale) and 7
    const double limit = PASS * (2 + log(1 + scale)) / GROWTH;
    run_problem(&p);
    for (size_t bh = 0; bh < heads * heads; bh++) {
        weights_of(&p, bh, relu, weight);
        oracle_average(N, p.dv, causal, weight, p.v + bh * N * p.dv, want);
        cr_assert(le(dbl, judge_rows(N * p.dv, p.out + bh * N * p.dv, want), limit), "%s scale %g", label(&p), scale);
    }
    if (causal && heads == 1) {
        run_stream(&p);
        cr_assert(le(dbl, judge_rows(N * p.dv, p.out, want), limit), "%s scale %g, as a stream", label(&p), scale);
    }
    flt_free(weight);
    flt_free(want);
    drop_problem(&p);
}

Test(attention_features, linear_agrees_with_loops) {
    static const size_t sizes[] = {1, 2, 3, 31, 32, 33, 64, 65, 97, 130, 257};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int relu = 0; relu < 2; relu++)
            for (int causal = 0; causal < 2; causal++) {
                try_linear(sizes[i], relu, causal, 1);
                try_linear(sizes[i], relu, causal, 1e4);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// ---- variance

// Mean square error against exact attention over the seeds, inputs of unit variance with a common offset.
static double error_of(const char *params, double offset, double spread) {
    enum { SEEDS = 60 };
    double error = 0;
    problem p = {.mechanism = "exact", .B = 1, .H = 1, .N = 20, .d = 4, .dv = 3, .seed = 5};
    inputs(&p, spread);
    for (size_t i = 0; i < 80; i++) p.q[i] += (flt_real)offset, p.k[i] += (flt_real)offset;
    run_problem(&p);
    flt_real want[60];
    memcpy(want, p.out, sizeof want);
    p.mechanism = "performer";
    p.params = params;
    for (p.seed = 1; p.seed <= SEEDS; p.seed++) {
        run_problem(&p);
        for (size_t i = 0; i < 60; i++) error += pow((double)(p.out[i] - want[i]), 2) / (60 * SEEDS);
    }
    drop_problem(&p);
    return error;
}

// Every form estimates the same thing: sixteen times the features, about a sixteenth of the variance.
Test(attention_features, forms_converge_to_exact_attention) {
    static const char *const few[] = {"m=64,features=favor++", "m=64,features=hyperbolic", "m=64,centre=mean",
                                      "m=64,features=favor++,centre=mean,draw=iid", "m=64,features=favor++,spread=3"};
    static const char *const many[] = {"m=1024,features=favor++", "m=1024,features=hyperbolic", "m=1024,centre=mean",
                                       "m=1024,features=favor++,centre=mean,draw=iid", "m=1024,features=favor++,spread=3"};
    for (size_t i = 0; i < 5; i++) {
        const double a = error_of(few[i], 0.2, 0.6), b = error_of(many[i], 0.2, 0.6);
        cr_assert(lt(dbl, b, a / 8), "%s: %g, then %g", few[i], a, b);
        cr_assert(lt(dbl, b, 1e-3), "%s: %g", many[i], b);
    }
}

Test(attention_features, variance_is_lower_where_it_should_be) {
    const double plain = error_of("m=64", 0, 2), best = error_of("m=64,features=favor++", 0, 2);
    cr_assert(lt(dbl, best, plain), "FAVOR++: %g after %g", best, plain);
    const double off = error_of("m=64", 1.5, 1), centred = error_of("m=64,centre=mean", 1.5, 1);
    cr_assert(lt(dbl, centred, off / 2), "centring: %g after %g", centred, off);
    const double hyperbolic = error_of("m=64,features=hyperbolic", 0, 2);
    cr_assert(lt(dbl, hyperbolic, plain), "hyperbolic, 2 m features: %g after %g", hyperbolic, plain);
}

// ---- refusals

static void refused(const problem *p, flt_err want, const char *part) {
    flt_attention *a = NULL;
    flt_error_clear();
    cr_assert(eq(int, try_plan(p, &a), want), "%s: %s", label(p), flt_error());
    cr_assert(strstr(flt_error(), part) != NULL, "%s", flt_error());
    cr_assert(eq(sz, flt_live_blocks(), 0), "%s", label(p));
}

Test(attention_features, what_cannot_be_done_is_said) {
    problem p = {.mechanism = "performer", .params = "centre=mean", .B = 1, .H = 1, .N = 4, .d = 3, .dv = 2, .causal = true};
    refused(&p, FLTE_UNSUPPORTED, "without causal");
    p.causal = false;
    p.params = "centre=mean,features=relu";
    refused(&p, FLTE_UNSUPPORTED, "hyperbolic");
    p.mechanism = "linear";
    p.params = "features=gelu";
    refused(&p, FLTE_RANGE, "elu");
}
