// SPDX-License-Identifier: MIT
// NPRF against explicit weights in long double: by tiles and by transforms, causal or not, shared and per-head tables, large
// offsets, and inputs that transforms cannot handle.
#include "attention_support.h"

typedef struct setting {
    size_t N, d, dv, m, heads; // heads: 0 shared tables
    bool causal, normalise;
    int crossover;
    double scale, bias;
    size_t reach; // 0: offsets are not clipped, else one more than where they are
} setting;

static void unit_rows(size_t n, size_t d, bool normalise, const flt_real *x, long double *out) {
    for (size_t i = 0; i < n; i++) {
        long double squares = 0;
        for (size_t c = 0; c < d; c++) squares += (long double)x[i * d + c] * x[i * d + c];
        for (size_t c = 0; c < d; c++) out[i * d + c] = x[i * d + c] / (normalise && squares > 0 ? sqrtl(squares) : 1);
    }
}

static double worst_head(const problem *p, const setting *s) {
    const size_t N = p->N, d = p->d, m = s->m;
    long double *x = take(N * d, sizeof *x), *fq = take(N * m, sizeof *x), *fk = take(N * m, sizeof *x),
                *weight = take(N * N, sizeof *x), *want = take(N * p->dv, sizeof *x);
    double worst = 0;
    for (size_t bh = 0; bh < p->B * p->H; bh++) {
        const double *omega = arg_head(p->n_args, p->args, "omega", 2, bh % p->H),
                     *b = arg_head(p->n_args, p->args, "lag_bias", 1, bh % p->H);
        unit_rows(N, d, s->normalise, p->q + bh * N * d, x);
        oracle_features(N, d, m, false, x, omega, fq);
        unit_rows(N, d, s->normalise, p->k + bh * N * d, x);
        oracle_features(N, d, m, false, x, omega, fk);
        oracle_kernel(N, m, fq, fk, weight);
        for (size_t i = 0; i < N * N; i++) weight[i] *= expl((long double)b[i % N + N - 1 - i / N]);
        oracle_average(N, p->dv, p->causal, weight, p->v + bh * N * p->dv, want);
        worst = fmax(worst, judge_rows(N * p->dv, p->out + bh * N * p->dv, want));
    }
    flt_free(x);
    flt_free(fq);
    flt_free(fk);
    flt_free(weight);
    flt_free(want);
    return worst;
}

// Rows that were flagged, 0 when the plan reports none.
static double flagged_rows(const flt_attention *a) {
    flt_attention_arg drawn[MAX_ARGS];
    const size_t n = flt_attention_draws(a, MAX_ARGS, drawn);
    for (size_t i = 0; i < n; i++)
        if (strcmp(drawn[i].name, "flagged") == 0) return drawn[i].data[0];
    return 0;
}

// Offsets beyond `reach` on either side all have one value.
static void clip(problem *p, size_t N, size_t reach) {
    flt_attention_arg *a = &p->args[p->n_args - 1];
    double *b = (double *)(uintptr_t)a->data;
    for (size_t h = 0; h < arg_count(a) / (2 * N - 1); h++, b += 2 * N - 1)
        for (size_t z = reach + 2; z < N; z++) b[N - 1 + z] = b[N + reach], b[N - 1 - z] = b[N - 2 - reach];
}

static double try_setting(const setting *s, double limit) {
    char text[80];
    problem p = {.mechanism = "nprf", .B = 2, .H = 2, .N = s->N, .d = s->d, .dv = s->dv, .causal = s->causal, .seed = s->N};
    snprintf(text, sizeof text, "crossover=%d,normalise=%s", s->crossover, s->normalise ? "true" : "false");
    p.params = text;
    p.threads = 1 + (int)(s->N % 2);
    inputs(&p, s->scale);
    add_arg(&p, "omega", s->heads, 2, (size_t[]){s->m, s->d}, -2, 2);
    add_arg(&p, "lag_bias", s->heads, 1, (size_t[]){2 * s->N - 1}, -s->bias, s->bias);
    if (s->reach > 0) clip(&p, s->N, s->reach - 1);
    flt_attention *a = plan_of(&p);
    flt_attention_forward(a, p.q, p.k, p.v, p.out);
    const double ratio = worst_head(&p, s), flagged = flagged_rows(a);
    cr_assert(le(dbl, ratio, limit), "%s scale %g bias %g m %zu", label(&p), s->scale, s->bias, s->m);
    flt_attention_destroy(a);
    drop_problem(&p);
    return flagged;
}

static const size_t sizes[] = {1, 2, 3, 31, 64, 65, 97, 128, 129, 191, 260};
enum { SIZES = sizeof sizes / sizeof *sizes };

Test(attention_nprf, tiles_agree_with_loops) {
    for (size_t n = 0; n < SIZES; n++)
        for (int causal = 0; causal < 2; causal++) {
            const setting s = {sizes[n], 5, 3, 9, n % 2 ? 2 : 0, causal, true, 1 << 20, 1.5, 2, 0};
            cr_assert(eq(dbl, try_setting(&s, PASS), 0));
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Clipped offsets: a band and running sums, whatever the plan would else have done; wild keys as well.
Test(attention_nprf, bands_agree_with_loops) {
    static const size_t lengths[] = {65, 200, 330}, reaches[] = {0, 1, 5, 63, 64, 100};
    for (size_t n = 0; n < 3; n++)
        for (size_t r = 0; r < 6; r++)
            for (int causal = 0; causal < 2; causal++) {
                const bool wild = r % 2;
                const setting s = {lengths[n],    6, 8, 20, r % 3 ? 2 : 0, causal, !wild, wild ? 1 << 20 : 128, wild ? 4 : 1.5, 2,
                                   reaches[r] + 1};
                cr_assert(eq(dbl, try_setting(&s, wild ? 100 * PASS : 3 * PASS), 0), "no row needs a repair");
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Transforms err by eps of the largest row: a few times what tiles do.
Test(attention_nprf, transforms_agree_with_loops) {
    for (size_t n = 0; n < SIZES; n++)
        for (int causal = 0; causal < 2; causal++) {
            const setting s = {sizes[n], 8, 5, 6, n % 2 ? 0 : 2, causal, true, 1, 1.5, 2, 0};
            cr_assert(eq(dbl, try_setting(&s, 3 * PASS), 0), "normalised inputs need no repair");
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Keys of very different size, and offsets over sixty orders of magnitude: rows that a transform would spoil are repaired.
Test(attention_nprf, hard_inputs_are_flagged_and_right) {
    double flagged = 0;
    for (size_t n = 4; n < SIZES; n++)
        for (int causal = 0; causal < 2; causal++)
            for (int crossover = 1; crossover < 2000; crossover += 1000) {
                const setting wild = {sizes[n], 12, 2, 7, 2, causal, false, crossover, 6, 1, 0},
                              steep = {sizes[n], 4, 2, 5, 0, causal, true, crossover, 1, 70, 0};
                flagged += try_setting(&wild, 100 * PASS) + try_setting(&steep, 100 * PASS);
            }
    cr_assert(gt(dbl, flagged, 0));
}

Test(attention_nprf, a_transform_does_not_see_the_future) {
    enum { N = 300, D = 6, DV = 3, FROM = 190 };
    problem p = {.mechanism = "nprf", .B = 1, .H = 1, .N = N, .d = D, .dv = DV, .causal = true, .params = "crossover=1,m=8"};
    inputs(&p, 1);
    flt_attention *a = plan_of(&p);
    flt_real *before = reals(N * DV);
    flt_attention_forward(a, p.q, p.k, p.v, before);
    for (size_t i = FROM * D; i < N * D; i++) p.k[i] = 5 - p.k[i], p.q[i] *= -3;
    for (size_t i = FROM * DV; i < N * DV; i++) p.v[i] *= 1000;
    flt_attention_forward(a, p.q, p.k, p.v, p.out);
    cr_assert(eq(int, memcmp(before, p.out, FROM * DV * sizeof *before), 0));
    flt_attention_destroy(a);
    flt_free(before);
    drop_problem(&p);
}

Test(attention_nprf, needs_evenly_spaced_positions) {
    problem p = {.mechanism = "nprf", .B = 1, .H = 1, .N = 9, .d = 2, .dv = 2, .params = ""};
    flt_attention *a = NULL;
    inputs(&p, 1);
    add_arg(&p, "pos", 0, 2, (size_t[]){9, 1}, 0, 1);
    cr_assert(eq(int, try_plan(&p, &a), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "flt") != NULL, "%s", flt_error());
    drop_problem(&p);
}

// i / N is evenly spaced up to rounding, and taken as such; what is off by more than that is not.
Test(attention_nprf, takes_the_rounding_of_positions) {
    problem p = {.mechanism = "nprf", .B = 1, .H = 1, .N = 9, .d = 2, .dv = 2, .params = ""};
    double pos[9];
    inputs(&p, 1);
    for (int i = 0; i < 9; i++) pos[i] = (double)i / 9.0;
    p.args[p.n_args++] = (flt_attention_arg){.name = "pos", .rank = 2, .dim = {9, 1}, .data = pos};
    for (int moved = 0; moved < 2; moved++) {
        flt_attention *a = NULL;
        pos[4] += moved * 1e-12;
        cr_assert(eq(int, try_plan(&p, &a), moved ? FLTE_UNSUPPORTED : FLTE_OK));
        flt_attention_destroy(a);
    }
    p.n_args--;
    drop_problem(&p);
}
