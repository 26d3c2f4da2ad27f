// SPDX-License-Identifier: MIT
// Performer and FLT against explicit kernels in long double with the same draws: sizes around the tiles, shared and per-head
// arguments, both feature kinds, positions in 1 to 3 dimensions, table and tile by tile, batch and stream.
#include "attention_support.h"

static const size_t sizes[] = {1, 2, 3, 5, 31, 32, 33, 64, 97, 128, 129, 200};
enum { SIZES = sizeof sizes / sizeof *sizes };

typedef struct shape {
    size_t B, H, d, dv, m, r, l;
    bool per_head, hyperbolic, given_pos;
    const char *more; // further parameters
} shape;

static const shape shapes[] = {
    {1, 1, 8, 5, 7, 3, 1, false, false, false, "table_mib=0"}, {2, 3, 1, 3, 16, 1, 2, true, false, true, "table_mib=256"},
    {1, 2, 32, 32, 33, 9, 3, true, true, true, "table_mib=0"}, {3, 1, 3, 1, 1, 4, 1, false, true, true, "table_mib=256"},
    {1, 2, 8, 8, 20, 2, 1, true, false, false, "table_mib=1"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct oracle {
    long double *x, *fq, *fk, *weight, *want;
} oracle;

static oracle take_oracle(const problem *p, size_t D, size_t F) {
    const size_t N = p->N, size = sizeof(long double);
    return (oracle){take(N * D, size), take(N * F, size), take(N * F, size), take(N * N, size), take(N * p->dv, size)};
}

static void drop_oracle(oracle *o) {
    flt_free(o->x);
    flt_free(o->fq);
    flt_free(o->fk);
    flt_free(o->weight);
    flt_free(o->want);
}

// Ratio of the worst batch and head, with the arguments in `args`.
static double worst_ratio(const problem *p, const shape *s, size_t n, const flt_attention_arg *args) {
    const size_t N = p->N, d = p->d, r = strcmp(p->mechanism, "flt") == 0 ? s->r : 0, D = d + 2 * r,
                 F = s->hyperbolic ? 2 * s->m : s->m;
    oracle o = take_oracle(p, D, F);
    double worst = 0, *line = take(N, sizeof *line);
    for (size_t i = 0; i < N; i++) line[i] = (double)i;
    for (size_t bh = 0; bh < p->B * p->H; bh++) {
        const size_t h = bh % p->H;
        const double *omega = arg_head(n, args, "omega", 2, h), *xi = arg_head(n, args, "xi", 2, h),
                     *rho = arg_head(n, args, "rho", 1, h);
        const double *pos = arg_head(p->n_args, p->args, "pos", 2, 0);
        if (pos == NULL) pos = line;
        oracle_inputs(N, d, s->l, r, p->q + bh * N * d, pos, xi, rho, o.x);
        oracle_features(N, D, s->m, s->hyperbolic, o.x, omega, o.fq);
        oracle_inputs(N, d, s->l, r, p->k + bh * N * d, pos, xi, NULL, o.x);
        oracle_features(N, D, s->m, s->hyperbolic, o.x, omega, o.fk);
        oracle_kernel(N, F, o.fq, o.fk, o.weight);
        oracle_average(N, p->dv, p->causal, o.weight, p->v + bh * N * p->dv, o.want);
        worst = fmax(worst, judge_rows(N * p->dv, p->out + bh * N * p->dv, o.want));
    }
    drop_oracle(&o);
    flt_free(line);
    return worst;
}

static problem make_problem(const char *mechanism, const shape *s, size_t N, bool causal, double scale, char *text, size_t size) {
    const bool flt = strcmp(mechanism, "flt") == 0;
    problem p = {
        .mechanism = mechanism, .B = s->B, .H = s->H, .N = N, .d = s->d, .dv = s->dv, .causal = causal, .seed = N + s->m};
    p.threads = 1 + (int)(N % 2);
    snprintf(text, size, "features=%s%s%s", s->hyperbolic ? "hyperbolic" : "positive", flt ? "," : "", flt ? s->more : "");
    p.params = text;
    inputs(&p, scale);
    if (s->given_pos) add_arg(&p, "pos", 0, 2, (size_t[]){N, s->l}, -3, 3);
    return p;
}

static void give_draws(problem *p, const shape *s) {
    const bool flt = strcmp(p->mechanism, "flt") == 0;
    const size_t heads = s->per_head ? s->H : 0;
    add_arg(p, "omega", s->per_head && s->m % 2 ? s->H : 0, 2, (size_t[]){s->m, s->d + (flt ? 2 * s->r : 0)}, -2, 2);
    if (!flt) return;
    add_arg(p, "xi", heads, 2, (size_t[]){s->r, s->l}, -1, 1);
    add_arg(p, "rho", s->H > 1 && s->r % 2 ? s->H : heads, 1, &s->r, -3, 3);
}

// The first `tokens` of the problem through a plan, one by one.
static void feed(problem *p, flt_attention *a, size_t tokens) {
    const size_t heads = p->B * p->H, N = p->N, d = p->d, dv = p->dv;
    flt_real *q = reals(heads * d), *k = reals(heads * d), *v = reals(heads * dv), *out = reals(heads * dv);
    const size_t calls = flt_alloc_count();
    cr_assert(eq(int, flt_attention_begin(a), FLTE_OK), "%s", flt_error());
    for (size_t t = 0; t < tokens; t++) {
        for (size_t h = 0; h < heads; h++) {
            memcpy(q + h * d, p->q + (h * N + t) * d, d * sizeof *q);
            memcpy(k + h * d, p->k + (h * N + t) * d, d * sizeof *k);
            memcpy(v + h * dv, p->v + (h * N + t) * dv, dv * sizeof *v);
        }
        flt_attention_step(a, q, k, v, out);
        for (size_t h = 0; h < heads; h++) memcpy(p->out + (h * N + t) * dv, out + h * dv, dv * sizeof *out);
    }
    cr_assert(eq(sz, flt_alloc_count(), calls), "%s: a stream allocates", label(p));
    flt_free(q);
    flt_free(k);
    flt_free(v);
    flt_free(out);
}

static void run_stream(problem *p) {
    flt_attention *a = plan_of(p);
    feed(p, a, p->N / 2);
    feed(p, a, p->N); // a second stream starts afresh
    flt_attention_destroy(a);
}

// Large inputs: the exponents, and with them the errors of the features, grow with the square of the scale.
static void try_case(const char *mechanism, const shape *s, size_t N, bool causal, double scale) {
    const double limit = scale > 2 ? PASS * scale * scale : PASS;
    char text[80];
    problem p = make_problem(mechanism, s, N, causal, scale, text, sizeof text);
    give_draws(&p, s);
    run_problem(&p);
    double ratio = worst_ratio(&p, s, p.n_args, p.args);
    cr_assert(le(dbl, ratio, limit), "%s scale %g", label(&p), scale);
    if (causal) {
        run_stream(&p);
        ratio = worst_ratio(&p, s, p.n_args, p.args);
        cr_assert(le(dbl, ratio, limit), "%s scale %g, as a stream", label(&p), scale);
    }
    drop_problem(&p);
}

Test(attention_linear, performer_agrees_with_loops) {
    for (size_t n = 0; n < SIZES; n++)
        for (size_t s = n % 2; s < SHAPES; s += 2)
            for (int causal = 0; causal < 2; causal++) try_case("performer", &shapes[s], sizes[n], causal, 1.5);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(attention_linear, flt_agrees_with_loops) {
    for (size_t n = 0; n < SIZES; n++)
        for (size_t s = n % 2; s < SHAPES; s += 2)
            for (int causal = 0; causal < 2; causal++) try_case("flt", &shapes[s], sizes[n], causal, 1.5);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// A stream longer than its plan: the default positions go on counting.
Test(attention_linear, a_stream_may_outlast_its_plan) {
    const shape s = {1, 2, 4, 3, 9, 5, 1, true, false, false, "table_mib=1"};
    char text[80];
    problem p = make_problem("flt", &s, 70, true, 1.5, text, sizeof text);
    give_draws(&p, &s);
    flt_attention *a = NULL;
    const size_t count = 2 * 70 * 3;
    long double *want = take(count, sizeof *want);
    run_problem(&p);
    for (size_t i = 0; i < count; i++) want[i] = p.out[i];
    p.N = 5;
    a = plan_of(&p);
    p.N = 70;
    feed(&p, a, 70);
    cr_assert(le(dbl, judge_rows(count, p.out, want), PASS));
    flt_attention_destroy(a);
    flt_free(want);
    drop_problem(&p);
}

// Keys far apart in every feature, so that scales move within tiles and within chunks.
Test(attention_linear, large_inputs_agree_with_loops) {
    static const double scales[] = {6, 15, 40};
    for (size_t i = 0; i < 3; i++)
        for (size_t s = 0; s < SHAPES; s++)
            for (int causal = 0; causal < 2; causal++) {
                try_case("performer", &shapes[s], 150, causal, scales[i]);
                try_case("flt", &shapes[s], 75, causal, scales[i]);
            }
}

// Nothing given: the plan draws, says what it drew, and those draws are what it used.
static void try_draws(const char *mechanism, const char *more) {
    const shape s = {2, 2, 8, 3, 12, 5, 1, true, false, false, more};
    char text[80];
    flt_attention_arg drawn[MAX_ARGS];
    problem p = make_problem(mechanism, &s, 40, true, 1.5, text, sizeof text);
    strcat(text, strcmp(mechanism, "flt") == 0 ? ",m=12,r=5" : ",m=12");
    if (strstr(text, "gaussian") != NULL || strstr(text, "mixture") != NULL) {
        add_arg(&p, "w", 0, 1, (size_t[]){2}, 0.2, 1);
        add_arg(&p, "mu", 0, 2, (size_t[]){2, 1}, -0.3, 0.3);
        add_arg(&p, "s2", 2, 1, (size_t[]){2}, 0.01, 0.2);
    }
    flt_attention *a = plan_of(&p);
    const size_t n = flt_attention_draws(a, MAX_ARGS, drawn);
    flt_attention_forward(a, p.q, p.k, p.v, p.out);
    const double ratio = worst_ratio(&p, &s, n, drawn);
    cr_assert(le(dbl, ratio, PASS), "%s", label(&p));
    const double *omega = arg_head(n, drawn, "omega", 2, 0);
    cr_assert(gt(dbl, fabs(omega[0] - arg_head(n, drawn, "omega", 2, 1)[0]), 1e-6), "heads draw apart");
    flt_attention_destroy(a);
    drop_problem(&p);
}

Test(attention_linear, draws_are_what_was_used) {
    try_draws("performer", "");
    try_draws("flt", "table_mib=1");
    try_draws("flt", "rpe=gaussian_mixture");
    try_draws("flt", "rpe=none");
}

static void keep_draws(const problem *p, size_t max, flt_attention_arg *out, size_t *n, flt_attention **plan) {
    *plan = plan_of(p);
    *n = flt_attention_draws(*plan, max, out);
}

Test(attention_linear, the_seed_decides_the_draws) {
    problem p = {.mechanism = "flt", .params = "m=6,r=4", .B = 1, .H = 2, .N = 4, .d = 3, .dv = 2, .seed = 11};
    flt_attention_arg first[MAX_ARGS], second[MAX_ARGS];
    flt_attention *a = NULL, *b = NULL;
    size_t n = 0, m = 0;
    for (uint64_t other = 0; other < 2; other++) {
        keep_draws(&p, MAX_ARGS, first, &n, &a);
        problem again = p;
        again.seed += other;
        keep_draws(&again, MAX_ARGS, second, &m, &b);
        cr_assert(eq(sz, n, m));
        cr_assert(eq(sz, n, 3));
        for (size_t i = 0; i < n; i++) {
            const bool same = memcmp(first[i].data, second[i].data, arg_count(&first[i]) * sizeof(double)) == 0;
            cr_assert(eq(int, same, other == 0), "%s, seed + %u", first[i].name, (unsigned)other);
        }
        flt_attention_destroy(a);
        flt_attention_destroy(b);
    }
}

// w, mu, s2 in place of rho: rho = g/p with p = N(0, I) at the xi given or drawn.
Test(attention_linear, mixture_in_place_of_rho) {
    for (int given = 0; given < 2; given++) {
        problem p = {.mechanism = "flt", .params = "m=6,r=4", .B = 1, .H = 2, .N = 4, .d = 3, .dv = 2, .seed = 3};
        flt_attention_arg drawn[MAX_ARGS];
        add_arg(&p, "w", 2, 1, (size_t[]){3}, -1, 1);
        add_arg(&p, "mu", 0, 2, (size_t[]){3, 1}, -1, 1);
        add_arg(&p, "s2", 0, 1, (size_t[]){3}, 0.1, 1);
        if (given) add_arg(&p, "xi", 0, 2, (size_t[]){4, 1}, -1, 1);
        flt_attention *a = NULL;
        size_t n = 0;
        keep_draws(&p, MAX_ARGS, drawn, &n, &a);
        for (size_t h = 0; h < 2; h++) {
            const double *xi = arg_head(n, drawn, "xi", 2, h), *rho = arg_head(n, drawn, "rho", 1, h),
                         *w = arg_head(3, p.args, "w", 1, h);
            for (size_t m = 0; m < 4; m++) {
                double g = 0;
                for (size_t t = 0; t < 3; t++) g += w[t] * exp(-pow(xi[m] - p.args[1].data[t], 2) / p.args[2].data[t]);
                const double want = g * sqrt(FLTX_TWO_PI) * exp(0.5 * xi[m] * xi[m]);
                cr_assert(lt(dbl, fabs(rho[m] - want), 1e-13 * (1 + fabs(want))), "given %d head %zu frequency %zu", given, h, m);
            }
        }
        flt_attention_destroy(a);
        drop_problem(&p);
    }
}

// Positions around a million: what the same differences near the origin give, to float accuracy (phases are formed in double).
Test(attention_linear, far_positions_keep_float_accuracy) {
    for (int table = 0; table < 2; table++)
        for (double origin = 1e3; origin < 1e7; origin *= 1e3) {
            const shape s = {1, 1, 8, 4, 24, 12, 1, false, false, true, table ? "table_mib=1" : "table_mib=0"};
            char text[80];
            problem p = make_problem("flt", &s, 60, true, 1.5, text, sizeof text);
            give_draws(&p, &s);
            double *pos = (double *)(uintptr_t)arg_head(p.n_args, p.args, "pos", 2, 0);
            for (size_t i = 0; i < p.N; i++) pos[i] = origin + 3.0 * (double)i;
            run_problem(&p);
            // double keeps the phase to eps of the position
            const double ratio = worst_ratio(&p, &s, p.n_args, p.args),
                         lost = origin * 2.2e-16 * FLTX_TWO_PI * 3 * 12 / (FLTX_EPS * GROWTH);
            cr_assert(le(dbl, ratio, PASS * (1 + lost)), "origin %g table %d", origin, table);
            drop_problem(&p);
        }
}

// More frequencies and features: the estimate approaches exact attention with the encoding in closed form.
Test(attention_linear, flt_approaches_exact_attention) {
    problem p = {.mechanism = "exact", .B = 1, .H = 1, .N = 24, .d = 4, .dv = 3, .seed = 9};
    double error[2] = {0};
    inputs(&p, 0.5);
    add_arg(&p, "c", 0, 0, NULL, 0.3, 0.3);
    double *half = add_arg(&p, "v", 0, 0, NULL, 3, 3);
    *half = 3;
    run_problem(&p);
    flt_real want[24 * 3];
    memcpy(want, p.out, sizeof want);
    p.mechanism = "flt";
    for (int more = 0; more < 2; more++)
        for (p.seed = 100; p.seed < 120; p.seed++) {
            p.params = more ? "r=16,m=4096" : "r=16,m=64";
            run_problem(&p);
            for (size_t i = 0; i < 72; i++) error[more] += pow((double)(p.out[i] - want[i]), 2);
        }
    // variance falls like 1/m: by 64; a factor of 64/3 leaves room for 20 seeds
    cr_assert(lt(dbl, error[1], error[0] * 3 / 64), "%g after %g", error[1], error[0]);
    drop_problem(&p);
}
