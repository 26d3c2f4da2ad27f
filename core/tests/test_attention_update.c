// SPDX-License-Identifier: MIT
// New values for the arguments of a plan: the bits of forward and backward pass are those of a plan made with them, nothing is
// allocated, and a refused update leaves the plan as it was.
#include "attention_support.h"

enum { MAX_USED = 32 };

typedef struct outputs {
    flt_real *out, *d[3];
    double *first; // gradient of the first argument
} outputs;

static size_t out_count(const problem *p) {
    return p->B * p->H * p->N * p->dv;
}

static outputs make_outputs(const problem *p) {
    const size_t in = p->B * p->H * p->N * p->d, n = out_count(p);
    return (outputs){reals(n), {reals(in), reals(in), reals(n)}, take(4096, sizeof(double))};
}

static void drop_outputs(outputs *o) {
    flt_free(o->out);
    for (size_t i = 0; i < 3; i++) flt_free(o->d[i]);
    flt_free(o->first);
}

static void run(const problem *p, flt_attention *a, const char *name, outputs *o) {
    const flt_attention_gradient grad = {name, o->first};
    memset(o->out, 0, out_count(p) * sizeof *o->out);
    flt_attention_forward(a, p->q, p->k, p->v, o->out);
    const flt_attention_pass pass = {p->q, p->k, p->v, o->out, p->v, o->d[0], o->d[1], o->d[2], name != NULL, &grad};
    if (p->backward) cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_OK), "%s: %s", label(p), flt_error());
}

static void same(const problem *p, const outputs *a, const outputs *b, const char *what) {
    const size_t in = p->B * p->H * p->N * p->d, n = out_count(p);
    cr_assert(memcmp(a->out, b->out, n * sizeof *a->out) == 0, "%s: %s: out differs", label(p), what);
    for (size_t i = 0; i < 3; i++)
        cr_assert(memcmp(a->d[i], b->d[i], (i < 2 ? in : n) * sizeof *a->out) == 0, "%s: %s: gradient %zu", label(p), what, i);
    cr_assert(memcmp(a->first, b->first, 4096 * sizeof(double)) == 0, "%s: %s: gradient of an argument", label(p), what);
}

// Every argument but the positions gets other values in the same shape.
static size_t other_values(const problem *p, flt_attention_arg *to) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_args; i++) {
        if (strcmp(p->args[i].name, "pos") == 0) continue;
        double *data = take(arg_count(&p->args[i]), sizeof *data);
        for (size_t k = 0; k < arg_count(&p->args[i]); k++) data[k] = 0.75 * p->args[i].data[k] + 0.03;
        to[n] = p->args[i];
        to[n++].data = data;
    }
    return n;
}

// A fresh plan with the new values. Frequencies that an encoding chose are handed over with their ratios, as arguments.
static flt_attention *fresh(const problem *p, const flt_attention *updated, const char *params) {
    problem q = *p;
    flt_attention_arg used[MAX_USED];
    const size_t n = flt_attention_draws(updated, MAX_USED, used);
    q.n_args = 0;
    if (params != NULL) q.params = params;
    for (size_t i = 0; i < p->n_args; i++) {
        if (strcmp(p->args[i].name, "pos") == 0) q.args[q.n_args++] = p->args[i];
    }
    for (size_t i = 0; i < n; i++) {
        const bool chosen =
            strcmp(used[i].name, "omega") == 0 || strcmp(used[i].name, "xi") == 0 || strcmp(used[i].name, "rho") == 0;
        bool given = false;
        for (size_t k = 0; k < p->n_args; k++) given |= strcmp(p->args[k].name, used[i].name) == 0;
        if (params != NULL ? chosen : given) q.args[q.n_args++] = used[i];
    }
    return plan_of(&q);
}

// params: of the fresh plan, NULL: as the problem's
static void check(problem *p, const char *params, const char *gradient) {
    flt_attention_arg other[MAX_ARGS];
    outputs got = make_outputs(p), want = make_outputs(p);
    flt_attention *a = plan_of(p);
    const size_t n = other_values(p, other);
    run(p, a, gradient, &want);
    const size_t before = flt_alloc_count();
    cr_assert(eq(int, flt_attention_update(a, n, other), FLTE_OK), "%s: %s", label(p), flt_error());
    cr_assert(eq(sz, flt_alloc_count(), before), "%s: update allocates", label(p));
    run(p, a, gradient, &got);
    cr_assert(memcmp(got.out, want.out, out_count(p) * sizeof *got.out) != 0 || p->N == 1, "%s: nothing changed", label(p));
    flt_attention *b = fresh(p, a, params);
    run(p, b, params == NULL ? gradient : NULL, &want);
    if (params != NULL) memcpy(want.first, got.first, 4096 * sizeof(double));
    same(p, &got, &want, "fresh plan");
    flt_attention_arg bad = other[n - 1];
    const double saved = other[n - 1].data[0];
    ((double *)(uintptr_t)bad.data)[0] = NAN;
    cr_assert(eq(int, flt_attention_update(a, n, other), FLTE_NUMERIC), "%s", label(p));
    ((double *)(uintptr_t)bad.data)[0] = saved;
    bad.dim[0]++, bad.rank = bad.rank == 0 ? 1 : bad.rank;
    cr_assert(eq(int, flt_attention_update(a, 1, &bad), FLTE_SHAPE), "%s", label(p));
    bad.name = "nothing";
    cr_assert(eq(int, flt_attention_update(a, 1, &bad), FLTE_NAME), "%s", label(p));
    run(p, a, gradient, &want);
    if (params != NULL) memcpy(want.first, got.first, 4096 * sizeof(double));
    same(p, &got, &want, "after refusals");
    flt_attention_destroy(a);
    flt_attention_destroy(b);
    for (size_t i = 0; i < n; i++) flt_free((void *)(uintptr_t)other[i].data);
    drop_outputs(&got);
    drop_outputs(&want);
    drop_problem(p);
}

static problem start(const char *mechanism, const char *params, size_t N, bool causal) {
    problem p = {.mechanism = mechanism, .params = params, .B = 2, .H = 2, .N = N, .d = 3, .dv = 2, .causal = causal};
    p.threads = 2, p.seed = N, p.backward = true;
    inputs(&p, 1.0);
    return p;
}

static const size_t sizes[] = {1, 5, 67, 130};
enum { SIZES = sizeof sizes / sizeof *sizes };

Test(attention_update, exact) {
    for (size_t s = 0; s < SIZES; s++)
        for (int form = 0; form < 2; form++) {
            const size_t N = sizes[s], heads = s % 2 ? 2 : 0;
            problem p = start("exact", "", N, s % 3 == 0);
            if (form == 0) add_arg(&p, "lag_bias", heads, 1, (size_t[]){2 * N - 1}, -1, 1);
            if (form == 1) add_arg(&p, "bias", heads, 2, (size_t[]){N, N}, -1, 1);
            check(&p, NULL, N < 60 ? form == 0 ? "lag_bias" : "bias" : NULL);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

static void add_mixture(problem *p, size_t heads, size_t l) {
    add_arg(p, "w", heads, 1, (size_t[]){3}, 0.1, 0.9);
    add_arg(p, "mu", 0, 2, (size_t[]){3, l}, -0.5, 0.5);
    add_arg(p, "s2", heads, 1, (size_t[]){3}, 0.3, 1.0);
}

Test(attention_update, exact_with_an_encoding) {
    for (size_t s = 0; s < SIZES; s++)
        for (size_t l = 1; l < 4; l++) {
            problem p = start("exact", "", sizes[s], s % 2);
            add_mixture(&p, s % 2 ? 2 : 0, l);
            if (l > 1 || s == 2) add_arg(&p, "pos", 0, 2, (size_t[]){sizes[s], l}, -2, 2);
            check(&p, NULL, NULL);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(attention_update, performer) {
    static const char *const forms[] = {"features=positive", "features=hyperbolic", "features=relu", "features=favor++"};
    for (size_t s = 0; s < SIZES; s++)
        for (size_t f = 0; f < 4; f++) {
            problem p = start("performer", forms[f], sizes[s], s % 2);
            p.backward = f < 2;
            add_arg(&p, "omega", s % 2 ? 2 : 0, 2, (size_t[]){7, 3}, -1.5, 1.5);
            check(&p, NULL, f < 2 ? "omega" : NULL);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// rho its own argument, or of a mixture at given frequencies; with the table of positions and without.
Test(attention_update, fourier) {
    static const char *const params[] = {"", "split=balanced", "split=squared,table_mib=0", "features=hyperbolic"};
    for (size_t s = 0; s < SIZES; s++)
        for (size_t k = 0; k < 8; k++) {
            problem p = start("flt", params[k % 4], sizes[s], s % 2);
            const size_t l = 1 + k % 3, heads = s % 2 ? 2 : 0;
            add_arg(&p, "omega", heads, 2, (size_t[]){7, 3 + 8}, -1, 1);
            add_arg(&p, "xi", k % 3 ? 2 : 0, 2, (size_t[]){4, l}, -0.5, 0.5);
            if (l > 1) add_arg(&p, "pos", 0, 2, (size_t[]){sizes[s], l}, -2, 2);
            if (k < 4)
                add_arg(&p, "rho", 0, 1, (size_t[]){4}, -1, 1);
            else
                add_mixture(&p, heads, l);
            check(&p, NULL, "omega");
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Frequencies from the encoding's own proposal stay; their ratios follow.
Test(attention_update, chosen_frequencies) {
    static const char *const sampling[] = {"rpe=gaussian_mixture,r=6,m=7", "rpe=gaussian_mixture,r=6,m=7,sampling=orthogonal",
                                           "rpe=gaussian_mixture,r=6,m=7,sampling=qmc,split=balanced",
                                           "rpe=gaussian_mixture,r=6,m=7,sampling=quadrature"};
    static const char *const plain[] = {"", "", "split=balanced", ""};
    for (size_t s = 0; s < SIZES; s++)
        for (size_t k = 0; k < 4; k++) {
            problem p = start("flt", sampling[k], sizes[s], s % 2);
            const size_t l = k == 3 ? 1 : 1 + s % 3;
            add_mixture(&p, 2, l);
            if (l > 1) add_arg(&p, "pos", 0, 2, (size_t[]){sizes[s], l}, -2, 2);
            check(&p, plain[k], NULL);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

static void add_code(problem *p, bool conv, size_t heads, size_t l, const size_t side[3]) {
    enum { R = 4, K = 2 };
    const size_t w[4] = {p->d, 2, 3, 1}, sines[2] = {p->d, K};
    if (conv) {
        add_arg(p, "filter_q", heads, 1 + l, w, -1, 1);
        add_arg(p, "filter_k", 0, 1 + l, w, -1, 1);
        add_arg(p, "noise", heads, 2 + l, (size_t[]){R, p->d, side[0] + 4 * w[1], side[1] + 4 * w[2], side[2] + 4 * w[3]}, -2, 2);
    } else {
        add_arg(p, "freqs", heads, 2, sines, 0, 0.5);
        add_arg(p, "phases", 0, 2, sines, -3, 3);
        add_arg(p, "gains", heads, 2, sines, 0.2, 2);
        add_arg(p, "z", 0, 3, (size_t[]){p->d, 2 * K, R}, -2, 2);
    }
    add_arg(p, "share", heads, 1, &p->d, 0.1, 0.9);
    add_arg(p, "eps", 0, 2, (size_t[]){p->d, R}, -2, 2);
}

// Tiles and transforms; a table of lags, or an encoding.
Test(attention_update, nprf) {
    static const char *const params[] = {"crossover=1000000", "crossover=1", "crossover=1,normalise=false"};
    for (size_t s = 0; s < SIZES; s++)
        for (size_t k = 0; k < 6; k++) {
            problem p = start("nprf", params[k % 3], sizes[s], (s + k) % 2);
            const size_t heads = k % 2 ? 2 : 0, N = sizes[s];
            add_arg(&p, "omega", s % 2 ? 2 : 0, 2, (size_t[]){7, 3}, -1, 1);
            if (k < 3)
                add_arg(&p, "lag_bias", heads, 1, (size_t[]){2 * N - 1}, -1, 1);
            else
                add_mixture(&p, heads, 1);
            check(&p, NULL, "omega");
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// New offsets that call for another way through the sequence than the old ones: clipped and not.
Test(attention_update, nprf_changes_its_way) {
    for (int k = 0; k < 8; k++) {
        enum { N = 300 };
        problem p = start("nprf", k % 2 ? "crossover=16,m=5" : "m=5", N, k / 2 % 2);
        double *b = add_arg(&p, "lag_bias", 0, 1, (size_t[]){2 * N - 1}, -1, 1), other[2 * N - 1];
        const flt_attention_arg arg = {"lag_bias", 1, {2 * N - 1}, other};
        outputs got = make_outputs(&p), want = make_outputs(&p);
        for (size_t i = 0; i < 2 * N - 1; i++) other[i] = i > N - 7 && i < N + 5 ? b[i] : 0.25;
        flt_attention *a = plan_of(&p);
        flt_attention_arg back = arg;
        back.data = b;
        cr_assert(eq(int, flt_attention_update(a, 1, &arg), FLTE_OK));
        if (k < 4) {
            memcpy(b, other, sizeof other);
        } else {
            cr_assert(eq(int, flt_attention_update(a, 1, &back), FLTE_OK));
        }
        flt_attention *fresh_one = plan_of(&p);
        run(&p, a, "lag_bias", &got);
        run(&p, fresh_one, "lag_bias", &want);
        same(&p, &got, &want, "another way");
        flt_attention_destroy(a);
        flt_attention_destroy(fresh_one);
        drop_outputs(&got);
        drop_outputs(&want);
        drop_problem(&p);
    }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Sines, and filters on one to three axes; both kernels behind the code.
Test(attention_update, stochastic_encodings) {
    static const size_t sides[][3] = {{67, 0, 0}, {7, 11, 0}, {5, 3, 5}};
    for (size_t l = 0; l < 4; l++)
        for (size_t k = 0; k < 4; k++) {
            const size_t *n = sides[l == 0 ? 0 : l - 1];
            problem p = start(l == 0 ? "spe_sine" : "spe_conv", k < 2 ? "" : "kernel=exact",
                              n[0] * (l < 2 ? 1 : n[1]) * (l < 3 ? 1 : n[2]), k % 2);
            add_code(&p, l > 0, k == 1 ? 2 : 0, l, n);
            if (k < 2) add_arg(&p, "omega", k == 1 ? 2 : 0, 2, (size_t[]){6, 4}, -1, 1);
            check(&p, NULL, l == 0 ? "gains" : "filter_q");
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(attention_update, shares_out_of_range) {
    problem p = start("spe_sine", "m=5,R=4,K=2", 9, false);
    const double bad[3] = {0.5, 1.5, 0};
    const flt_attention_arg arg = {"share", 1, {3}, bad};
    outputs before = make_outputs(&p), after = make_outputs(&p);
    add_arg(&p, "share", 0, 1, (size_t[]){3}, 0, 1);
    flt_attention *a = plan_of(&p);
    run(&p, a, "share", &before);
    cr_assert(eq(int, flt_attention_update(a, 1, &arg), FLTE_RANGE));
    run(&p, a, "share", &after);
    same(&p, &before, &after, "refused");
    flt_attention_destroy(a);
    drop_outputs(&before);
    drop_outputs(&after);
    drop_problem(&p);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Values that an encoding refuses are refused before anything changes.
Test(attention_update, values_out_of_range) {
    static const struct {
        const char *mechanism, *params, *name;
        double good, bad;
    } cases[] = {{"exact", "rpe=gaussian", "scale", 1.5, -1},
                 {"exact", "rpe=window", "v", 2, 2.5},
                 {"exact", "rpe=exponential", "decay", 0.5, 2},
                 {"flt", "rpe=laplace,r=4,m=6", "scale", 1.5, 0},
                 {"flt", "rpe=box,r=4,m=6", "v", 1.5, -2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        problem p = start(cases[i].mechanism, cases[i].params, 9, false);
        outputs before = make_outputs(&p), after = make_outputs(&p);
        flt_attention_arg arg = {cases[i].name, 0, {0}, &cases[i].bad};
        *add_arg(&p, cases[i].name, 0, 0, NULL, 0, 1) = cases[i].good;
        if (strcmp(cases[i].name, "scale") != 0 && strcmp(cases[i].name, "decay") != 0) add_arg(&p, "c", 0, 0, NULL, 0.5, 1);
        flt_attention *a = plan_of(&p);
        run(&p, a, NULL, &before);
        cr_assert(eq(int, flt_attention_update(a, 1, &arg), FLTE_RANGE), "%s: %s", label(&p), cases[i].name);
        run(&p, a, NULL, &after);
        same(&p, &before, &after, "refused");
        flt_attention_destroy(a);
        drop_outputs(&before);
        drop_outputs(&after);
        drop_problem(&p);
    }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// A table of lags must stay symmetric for flt, whose spectrum is real.
Test(attention_update, asymmetric_tables) {
    problem p = start("flt", "rpe=lag_table,r=5,m=6", 3, false);
    double *table = add_arg(&p, "lag_bias", 0, 1, (size_t[]){5}, -1, 1);
    for (size_t i = 0; i < 2; i++) table[4 - i] = table[i];
    flt_attention *a = plan_of(&p);
    const double symmetric[5] = {1, 2, 3, 2, 1}, asymmetric[5] = {1, 2, 3, 2, 0};
    flt_attention_arg arg = {"lag_bias", 1, {5}, symmetric};
    cr_assert(eq(int, flt_attention_update(a, 1, &arg), FLTE_OK), "%s", flt_error());
    arg.data = asymmetric;
    cr_assert(eq(int, flt_attention_update(a, 1, &arg), FLTE_UNSUPPORTED));
    flt_attention_destroy(a);
    drop_problem(&p);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
