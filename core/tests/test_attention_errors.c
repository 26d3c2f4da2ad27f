// SPDX-License-Identifier: MIT
// Bad descriptions get the code and a sentence that names the thing; nothing is left behind.
#include "attention_support.h"

static problem base(const char *mechanism) {
    return (problem){.mechanism = mechanism, .B = 1, .H = 2, .N = 6, .d = 3, .dv = 2, .seed = 1};
}

static void refused(const problem *p, flt_err want, const char *part) {
    flt_attention *a = NULL;
    const size_t live = flt_live_blocks();
    flt_error_clear();
    const flt_err err = try_plan(p, &a);
    cr_assert(eq(int, err, want), "%s: %s", label(p), flt_error());
    cr_assert(strstr(flt_error(), part) != NULL, "%s: '%s' is not in: %s", label(p), part, flt_error());
    cr_assert(a == NULL, "%s", label(p));
    cr_assert(eq(sz, flt_live_blocks(), live), "%s", label(p));
}

Test(attention_errors, sizes) {
    problem p = base("exact");
    p.N = 0;
    refused(&p, FLTE_SHAPE, "N = 0");
    p = base("performer");
    p.d = 0;
    refused(&p, FLTE_SHAPE, "d = 0");
    p = base("flt");
    p.B = SIZE_MAX / 4;
    refused(&p, FLTE_RANGE, "address space");
    p = base("flt");
    p.threads = -1;
    refused(&p, FLTE_RANGE, "threads is -1");
}

Test(attention_errors, names) {
    problem p = base("preformer");
    refused(&p, FLTE_NAME, "performer");
    p = base("performer");
    add_arg(&p, "omga", 0, 2, (size_t[]){4, 3}, 0, 1);
    refused(&p, FLTE_NAME, "did you mean 'omega'");
    flt_free((void *)(uintptr_t)p.args[0].data);
    p = base("flt");
    p.params = "rpe=gausian";
    refused(&p, FLTE_NAME, "gaussian_mixture");
    p.params = "features=cosh";
    refused(&p, FLTE_RANGE, "hyperbolic");
    p.params = "m=0";
    refused(&p, FLTE_RANGE, "m");
}

typedef struct one_arg {
    const char *mechanism, *name;
    size_t rank, dim[3];
    flt_err err;
    const char *part;
} one_arg;

Test(attention_errors, shapes) {
    static const one_arg cases[] = {
        {"performer", "omega", 2, {4, 5}, FLTE_SHAPE, "[4, 5]; wanted [m, width = 3], or [H = 2, m, width = 3]"},
        {"performer", "omega", 1, {4}, FLTE_SHAPE, "[4]"},
        {"performer", "omega", 3, {3, 4, 3}, FLTE_SHAPE, "[3, 4, 3]"},
        {"performer", "omega", 2, {0, 3}, FLTE_SHAPE, "[0, 3]"},
        {"flt", "xi", 2, {4, 2}, FLTE_SHAPE, "wanted [r, l = 1]"},
        {"flt", "pos", 2, {5, 1}, FLTE_SHAPE, "wanted [N = 6, l]"},
        {"flt", "pos", 3, {2, 6, 1}, FLTE_SHAPE, "shared by the heads"},
        {"flt", "rho", 0, {0}, FLTE_SHAPE, "'rho'"},
        {"flt", "w", 1, {3}, FLTE_SHAPE, "mu [T, l]"},
        {"flt", "c", 0, {0}, FLTE_SHAPE, "window needs the argument 'v'"},
        {"flt", "lag_bias", 1, {10}, FLTE_SHAPE, "odd"},
        {"flt", "lag_bias", 1, {9}, FLTE_RANGE, "span 5 steps"},
        {"exact", "lag_bias", 1, {13}, FLTE_SHAPE, "2N - 1 = 11"},
        {"exact", "bias", 2, {6, 5}, FLTE_SHAPE, "[6, 5]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        problem p = base(cases[i].mechanism);
        add_arg(&p, cases[i].name, 0, cases[i].rank, cases[i].dim, 0, 1);
        refused(&p, cases[i].err, cases[i].part);
        flt_free((void *)(uintptr_t)p.args[0].data);
    }
}

// What would change nothing is refused, not taken and left aside.
Test(attention_errors, arguments_without_effect) {
    static const char *const blind[] = {"linear", "fourier", "fftnet"};
    for (size_t i = 0; i < sizeof blind / sizeof *blind; i++) {
        problem p = base(blind[i]);
        p.dv = p.d;
        add_arg(&p, "pos", 0, 2, (size_t[]){6, 1}, 0, 1);
        refused(&p, FLTE_NAME, "'pos' would change nothing: it has no positional encoding");
        flt_free((void *)(uintptr_t)p.args[0].data);
    }
    for (int nprf = 0; nprf < 2; nprf++) {
        problem p = base(nprf ? "nprf" : "exact");
        add_arg(&p, "lag_bias", 0, 1, (size_t[]){11}, 0, 1);
        add_arg(&p, "slope", 0, 0, NULL, 1, 1);
        refused(&p, FLTE_USAGE, "'slope' belongs to the encoding alibi, but the encoding is lag_table");
        for (size_t i = 0; i < p.n_args; i++) flt_free((void *)(uintptr_t)p.args[i].data);
    }
    problem p = base("linear");
    add_arg(&p, "omega", 0, 2, (size_t[]){2, 3}, 0, 1);
    refused(&p, FLTE_NAME, "'omega' is unknown; it takes none");
    flt_free((void *)(uintptr_t)p.args[0].data);
}

// From a program that fills them in wrongly: nothing behind them is read.
Test(attention_errors, arguments_that_are_not_there) {
    static const double one = 1;
    static const struct {
        flt_attention_arg arg;
        flt_err err;
        const char *part;
    } cases[] = {{{.name = NULL, .data = &one}, FLTE_USAGE, "argument 1 of 1 ('') has no name"},
                 {{.name = "omega", .rank = 2, .dim = {4, 3}}, FLTE_USAGE, "('omega') has no data"},
                 {{.name = "omega", .rank = 99, .data = &one}, FLTE_SHAPE, "'omega' has rank 99; allowed: 0 to 8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        problem p = base("performer");
        p.args[0] = cases[i].arg;
        p.n_args = 1;
        refused(&p, cases[i].err, cases[i].part);
    }
}

Test(attention_errors, disagreeing_sizes) {
    problem p = base("flt");
    add_arg(&p, "xi", 0, 2, (size_t[]){4, 1}, 0, 1);
    add_arg(&p, "rho", 0, 1, (size_t[]){5}, 0, 1);
    refused(&p, FLTE_SHAPE, "r = 4");
    p.n_args = 1;
    add_arg(&p, "omega", 0, 2, (size_t[]){7, 3}, 0, 1);
    refused(&p, FLTE_SHAPE, "width = 11");
    p.n_args = 1;
    p.params = "r=9";
    refused(&p, FLTE_USAGE, "r is set to 9");
}

Test(attention_errors, not_finite) {
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        problem p = base("performer");
        double *omega = add_arg(&p, "omega", 0, 2, (size_t[]){4, 3}, 0, 1);
        omega[7] = bad[i];
        refused(&p, FLTE_NUMERIC, "at index 7");
        flt_free(omega);
        p = base("exact");
        double *bias = add_arg(&p, "bias", 0, 2, (size_t[]){6, 6}, 0, 1);
        bias[35] = bad[i];
        if (bad[i] != -INFINITY) refused(&p, FLTE_NUMERIC, "at index 35"); // minus infinity hides a key: see hidden_keys
        flt_free(bias);
    }
}

// Minus infinity in a bias of exact attention removes a key; a row that sees nothing is the plain mean, not a NaN.
Test(attention_errors, hidden_keys) {
    const flt_real q[3] = {1, 2, 3}, v[3] = {5, 7, 12};
    const double table[9] = {0, -INFINITY, -INFINITY, -INFINITY, -INFINITY, 0, -INFINITY, -INFINITY, -INFINITY};
    const flt_attention_arg bias = {.name = "bias", .rank = 2, .dim = {3, 3}, .data = table};
    const flt_attention_desc desc = {.mechanism = "exact", .B = 1, .H = 1, .N = 3, .d = 1, .dv = 1, .n_args = 1, .args = &bias};
    flt_attention *a = NULL;
    flt_real out[3];
    cr_assert(flt_attention_create(&desc, &a) == FLTE_OK, "%s", flt_error());
    flt_attention_forward(a, q, q, v, out);
    flt_attention_destroy(a);
    cr_expect(out[0] == 5, "row 0 sees key 0 alone: %g", (double)out[0]);
    cr_expect(out[1] == 12, "row 1 sees key 2 alone: %g", (double)out[1]);
    cr_expect(fabs((double)out[2] - 8) <= 8 * 4 * FLTX_EPS, "row 2 sees nothing: %g", (double)out[2]);
}

Test(attention_errors, contradictions) {
    problem p = base("flt");
    double *w = add_arg(&p, "w", 0, 1, (size_t[]){2}, 0, 1), *mu = add_arg(&p, "mu", 0, 2, (size_t[]){2, 1}, 0, 1);
    double *s2 = add_arg(&p, "s2", 0, 1, (size_t[]){2}, 0.1, 1);
    p.params = "rpe=window";
    refused(&p, FLTE_USAGE, "belongs to the encoding gaussian_mixture");
    p.params = "";
    double *rho = add_arg(&p, "rho", 0, 1, (size_t[]){2}, 0, 1);
    refused(&p, FLTE_USAGE, "rho is given and so is");
    flt_free(rho);
    p.n_args--;
    s2[1] = -1;
    refused(&p, FLTE_RANGE, "s2[1]");
    s2[1] = 1;
    p.mechanism = "exact";
    double *bias = add_arg(&p, "bias", 0, 2, (size_t[]){6, 6}, 0, 1);
    refused(&p, FLTE_USAGE, "bias is given and so is");
    p.args[p.n_args++] = p.args[0];
    refused(&p, FLTE_USAGE, "given twice");
    flt_free(bias);
    flt_free(w);
    flt_free(mu);
    flt_free(s2);
}

Test(attention_errors, what_cannot_be_done_says_what_can) {
    problem p = base("flt");
    double *lags = add_arg(&p, "lag_bias", 0, 1, (size_t[]){11}, 0, 1);
    refused(&p, FLTE_UNSUPPORTED, "'exact'");
    p.params = "rpe=lag_table";
    double *pos = add_arg(&p, "pos", 0, 2, (size_t[]){6, 1}, 0, 1);
    refused(&p, FLTE_RANGE, "whole positions");
    flt_free(pos);
    flt_free(lags);
    p = base("flt");
    p.params = "rpe=window";
    refused(&p, FLTE_SHAPE, "window needs the argument 'c'");

    flt_attention *a = NULL;
    p = base("exact");
    p.causal = true;
    cr_assert(eq(int, try_plan(&p, &a), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_attention_begin(a), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "flt, linear, performer") != NULL, "%s", flt_error());
    flt_attention_destroy(a);
    p = base("flt");
    cr_assert(eq(int, try_plan(&p, &a), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_attention_begin(a), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "causal") != NULL, "%s", flt_error());
    flt_attention_destroy(a);
    flt_attention_destroy(NULL);
}

Test(attention_errors, foreign_parameters) {
    const flt_attention_kind *kind = NULL;
    flt_params *params = NULL;
    flt_attention *a = NULL;
    cr_assert(eq(int, flt_attention_find("flt", &kind), FLTE_OK));
    cr_assert(eq(int, flt_params_create("flt", kind->kind.params, &params), FLTE_OK));
    const flt_attention_desc desc = {.mechanism = "performer", .B = 1, .H = 1, .N = 1, .d = 1, .dv = 1, .params = params};
    cr_assert(eq(int, flt_attention_create(&desc, &a), FLTE_USAGE), "%s", flt_error());
    flt_params_destroy(params);
}
