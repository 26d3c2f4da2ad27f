// SPDX-License-Identifier: MIT
// Gradients of every encoding's arguments through every mechanism that takes it, against differences of the forward pass with
// updated arguments; a new encoding is tested by itself.
//
// In double a difference of sixth order is good to 1e-7 of the gradient by far; in float the forward pass is noisy, and the bound
// only catches what is plainly wrong.
#include "attention_support.h"
#include "encoding_cases.h"

static const double step = sizeof(flt_real) == 8 ? 2e-4 : 5e-3, bound = sizeof(flt_real) == 8 ? 1e-7 : 0.2;

enum { MAX_RATIOS = 32 };
static size_t checked; // comparisons that were made

typedef struct scene {
    problem p;
    flt_attention *a;
    flt_real *dout, *d[3];
    encoding_value value[12];
    size_t n_values;
} scene;

static size_t whole_out(const scene *s) {
    return s->p.B * s->p.H * s->p.N * s->p.dv;
}

// Positions: a line of whole steps, or whole points in l dimensions, which the exact mechanism takes pair by pair.
static void add_positions(scene *s, size_t l) {
    double *pos = add_arg(&s->p, "pos", 0, 2, (size_t[]){s->p.N, l}, 0, 1);
    for (size_t i = 0; i < s->p.N; i++)
        for (size_t c = 0; c < l; c++) pos[i * l + c] = (double)((i * 5 + c * 3 + i * c) % (l == 1 ? CASE_N : 4));
}

static scene start(const char *mechanism, const char *params, size_t l, bool points, bool causal) {
    scene s = {.p = {.mechanism = mechanism, .params = params, .B = 2, .H = 2, .N = 8, .d = 3, .dv = 2, .causal = causal}};
    s.p.backward = true, s.p.seed = 3, s.p.threads = 2;
    inputs(&s.p, 1.0);
    if (points) add_positions(&s, l);
    s.dout = reals(whole_out(&s));
    fill(12, whole_out(&s), s.dout);
    for (size_t t = 0; t < 3; t++) s.d[t] = reals(s.p.B * s.p.H * s.p.N * 3);
    return s;
}

// heads: 0 for shared
static void add_values(scene *s, const flt_rpe_kind *kind, const char *prefix, size_t l, size_t heads) {
    for (const flt_rpe_arg *a = kind->args; a->name != NULL; a++) {
        encoding_value *v = &s->value[s->n_values++];
        static char names[12][48];
        *v = encoding_value_of(kind, a, l, s->n_values);
        snprintf(names[s->n_values - 1], sizeof *names, "%s%s", prefix, a->name);
        double *data = add_arg(&s->p, names[s->n_values - 1], heads, v->rank, v->dim, 0, 1);
        for (size_t h = 0; h < (heads == 0 ? 1 : heads); h++) memcpy(data + h * v->count, v->data, v->count * sizeof *data);
        v->name = names[s->n_values - 1];
    }
}

static double loss(const scene *s) {
    double sum = 0;
    flt_attention_forward(s->a, s->p.q, s->p.k, s->p.v, s->p.out);
    for (size_t i = 0; i < whole_out(s); i++) sum += (double)s->dout[i] * (double)s->p.out[i];
    return sum;
}

static flt_attention_arg *arg_of(scene *s, const char *name) {
    for (size_t i = 0; i < s->p.n_args; i++)
        if (strcmp(s->p.args[i].name, name) == 0) return &s->p.args[i];
    return NULL;
}

static void ratios(const scene *s, double *rho) {
    flt_attention_arg used[32];
    const size_t n = flt_attention_draws(s->a, 32, used);
    for (size_t i = 0; i < n; i++)
        if (strcmp(used[i].name, "rho") == 0) memcpy(rho, used[i].data, arg_count(&used[i]) * sizeof *rho);
}

// The balanced split has a kink where a ratio passes zero: differences that come near one say nothing.
static bool near_kink(const scene *s, const double *from, const double *to) {
    if (strstr(s->p.params, "balanced") == NULL) return false;
    for (size_t i = 0; i < MAX_RATIOS; i++)
        if (from[i] != to[i] && !(fmin(fabs(from[i]), fabs(to[i])) > 20 * fabs(to[i] - from[i]))) return true;
    return false;
}

static double difference(scene *s, const flt_attention_arg *arg, const double *dir, bool *kink) {
    const size_t n = arg_count(arg);
    double moved[64], sum = 0, from[MAX_RATIOS] = {0}, to[MAX_RATIOS] = {0};
    flt_attention_arg now = *arg;
    now.data = moved;
    for (size_t k = 0; k < 7; k++) {
        for (size_t i = 0; i < n; i++) moved[i] = arg->data[i] + (k < 6 ? step * six_at[k] * dir[i] : 0);
        cr_assert(eq(int, flt_attention_update(s->a, 1, &now), FLTE_OK), "%s %s: %s", label(&s->p), arg->name, flt_error());
        if (k < 6) sum += six_weight[k] * loss(s) / (60 * step);
        if (k == 0) ratios(s, from);
        if (k == 5) ratios(s, to);
    }
    *kink = near_kink(s, from, to);
    return sum;
}

static void refuse_setting(const scene *s, const encoding_value *v) {
    double to[64];
    const flt_attention_gradient grad = {v->name, to};
    const flt_attention_pass pass = {s->p.q, s->p.k, s->p.v, s->p.out, s->dout, s->d[0], s->d[1], s->d[2], 1, &grad};
    cr_assert(eq(int, flt_attention_backward(s->a, &pass), FLTE_NAME), "%s: gradient of %s", label(&s->p), v->name);
}

static void check_value(scene *s, const encoding_value *v) {
    const flt_attention_arg *arg = arg_of(s, v->name);
    const size_t n = arg_count(arg), heads = n / v->count;
    double got[64], dir[64], dot = 0, size = 0;
    const flt_attention_gradient grad = {v->name, got};
    encoding_value plain = *v;
    const char *dotted = strchr(v->name, '.');
    if (dotted != NULL) plain.name = dotted + 1;
    for (size_t h = 0; h < heads; h++) encoding_direction(&plain, h + n, dir + h * v->count);
    loss(s);
    const flt_attention_pass pass = {s->p.q, s->p.k, s->p.v, s->p.out, s->dout, s->d[0], s->d[1], s->d[2], 1, &grad};
    const size_t before = flt_alloc_count();
    cr_assert(eq(int, flt_attention_backward(s->a, &pass), FLTE_OK), "%s: %s", label(&s->p), flt_error());
    cr_assert(eq(sz, flt_alloc_count(), before), "%s: backward allocates", label(&s->p));
    for (size_t i = 0; i < n; i++) dot += got[i] * dir[i], size += fabs(got[i] * dir[i]);
    bool kink = false;
    const double want = difference(s, arg, dir, &kink), error = fabs(dot - want);
    if (kink) return;
    checked++;
    if (getenv("SHOW_RATIOS")) fprintf(stderr, "%9.2e %s %s\n", error / (size + 1e-30), label(&s->p), v->name);
    // what the outputs' own rounding leaves in a difference
    const double noise = 100 * FLTX_EPS / step;
    cr_assert(le(dbl, error, bound * size + noise), "%s: gradient of %s: %g, by differences %g", label(&s->p), v->name, dot,
              want);
}

static void check(scene *s) {
    s->a = plan_of(&s->p);
    for (size_t i = 0; i < s->n_values; i++) {
        if (s->value[i].setting)
            refuse_setting(s, &s->value[i]);
        else
            check_value(s, &s->value[i]);
    }
    flt_attention_destroy(s->a);
    drop_problem(&s->p);
    flt_free(s->dout);
    for (size_t t = 0; t < 3; t++) flt_free(s->d[t]);
}

// ---- cases

Test(attention_backward_encoding, exact) {
    for (size_t i = 0; encoding_of(i) != NULL; i++)
        for (size_t l = 1; l < 4; l++)
            for (int form = 0; form < 4; form++) {
                char params[64];
                const flt_rpe_kind *kind = encoding_of(i);
                const bool points = l > 1 || form / 2;
                if (!encoding_takes(kind, l)) continue;
                snprintf(params, sizeof params, "rpe=%s", kind->kind.name);
                scene s = start("exact", params, l, points, form % 2);
                add_values(&s, kind, "", l, l % 2 ? 2 : 0);
                check(&s);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(attention_backward_encoding, nprf) {
    const flt_attention_kind *nprf = NULL;
    cr_assert(eq(int, flt_attention_find("nprf", &nprf), FLTE_OK));
    if (nprf->backward == NULL || nprf->update == NULL) return;
    for (size_t i = 0; encoding_of(i) != NULL; i++)
        for (int causal = 0; causal < 2; causal++) {
            char params[64];
            snprintf(params, sizeof params, "rpe=%s,m=6", encoding_of(i)->kind.name);
            scene s = start("nprf", params, 1, false, causal);
            add_values(&s, encoding_of(i), "", 1, causal ? 2 : 0);
            check(&s);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

static const char *const samplings[] = {"mc", "orthogonal", "qmc", "quadrature"};
static const char *const splits[] = {"one_sided", "balanced", "squared"};

Test(attention_backward_encoding, fourier) {
    for (size_t i = 0; encoding_of(i) != NULL; i++)
        for (size_t l = 1; l < 4; l++)
            for (size_t form = 0; form < 12; form++) {
                char params[128];
                const flt_rpe_kind *kind = encoding_of(i);
                if (!encoding_takes(kind, l) || !(kind->kind.caps & FLTX_RPE_SPECTRUM) || (l > 1 && form % 4 == 3)) continue;
                snprintf(params, sizeof params, "rpe=%s,r=%d,m=6,sampling=%s,split=%s,features=%s", kind->kind.name,
                         8 - (int)(form % 2), samplings[form % 4], splits[form / 4], form % 3 ? "positive" : "hyperbolic");
                scene s = start("flt", params, l, l > 1, form % 2);
                add_values(&s, kind, "", l, l % 2 ? 2 : 0);
                check(&s);
            }
    cr_assert(gt(sz, checked, 400));
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// The arguments of a sum: plain names where they are unique, the terms' where not.
static void check_sum(const char *mechanism, const char *options, const char *first, const char *second, bool causal) {
    char params[128], one[40], two[40];
    const flt_rpe_kind *kinds[2] = {NULL, NULL};
    cr_assert(eq(int, flt_rpe_find(first, &kinds[0]), FLTE_OK));
    cr_assert(eq(int, flt_rpe_find(second, &kinds[1]), FLTE_OK));
    snprintf(params, sizeof params, "rpe=%s+%s%s", first, second, options);
    snprintf(one, sizeof one, "%s.", first);
    snprintf(two, sizeof two, "%s%s.", second, kinds[0] == kinds[1] ? "2" : "");
    scene s = start(mechanism, params, 1, false, causal);
    add_values(&s, kinds[0], one, 1, 0);
    add_values(&s, kinds[1], two, 1, 2);
    check(&s);
}

Test(attention_backward_encoding, sums) {
    check_sum("exact", "", "gaussian_mixture", "box", false);
    check_sum("exact", "", "alibi", "lag_table", true);
    check_sum("exact", "", "gaussian", "gaussian", true);
    check_sum("exact", "", "t5_buckets", "matern32", false);
    for (size_t form = 0; form < 6; form++) {
        char options[64];
        snprintf(options, sizeof options, ",r=9,m=6,sampling=%s,split=%s", samplings[form % 4], splits[form % 3]);
        check_sum("flt", options, "gaussian_mixture", "box", form % 2);
        check_sum("flt", options, "window", "laplace", form % 2);
        check_sum("flt", options, "gaussian_mixture", "gaussian_mixture", form % 2);
    }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
