// SPDX-License-Identifier: MIT
// Attention as a node: learned arguments against central differences in both orders, illegal values, what is refused.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flt/attend.h"
#include "flt/memory.h"
#include "flt/random.h"

enum { B = 2, H = 2, N = 5, D = 3, R = 3, L = 2 * N - 1, TOKENS = B * H * N * D, MOST = 64 };

typedef struct problem {
    const char *label;
    const char *mechanism, *settings;
    bool causal, twice; // twice: has second derivatives
    size_t n;
    flt_attention_arg arg[2];
} problem;

static const double ones[MOST] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static const problem problems[] = {
    {"lag bias a head", "exact", "", true, true, 1, {{"lag_bias", 2, {H, L}, ones}}},
    {"shared lag bias", "exact", "", false, true, 1, {{"lag_bias", 1, {L}, ones}}},
    {"bias", "exact", "", true, true, 1, {{"bias", 2, {N, N}, ones}}},
    {"frequencies", "flt", "m=4", true, true, 2, {{"xi", 3, {H, R, 1}, ones}, {"rho", 2, {H, R}, ones}}},
    {"shared frequencies", "flt", "m=4,features=hyperbolic", false, true, 2, {{"xi", 2, {R, 1}, ones}, {"rho", 1, {R}, ones}}},
    {"projections", "performer", "", true, true, 1, {{"omega", 2, {4, D}, ones}}},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

typedef struct subject {
    flt_graph *g;
    flt_node qkv[3], arg[2], direction[2], loss;
    flt_exec *exec; // loss, gradients, Hessian-vector products
    size_t n, count[2];
    flt_real x[3][TOKENS], a[2][MOST], d[2][MOST];
} subject;

static void fill(const char *tag, size_t number, size_t n, double scale, flt_real *x) {
    flt_rng_normal(flt_rng_make(3, tag, number), 0, n, x);
    for (size_t i = 0; i < n; i++) x[i] *= (flt_real)scale;
}

static void begin(subject *s, const problem *p) {
    const size_t dim[] = {B, H, N, D};
    flt_node out[5];
    *s = (subject){.n = p->n};
    cr_assert_eq(flt_graph_create(&s->g), FLTE_OK);
    for (size_t i = 0; i < 3; i++) {
        s->qkv[i] = flt_input(s->g, "x", 4, dim);
        fill("x", i, TOKENS, 0.7, s->x[i]);
    }
    for (size_t i = 0; i < p->n; i++) {
        s->arg[i] = flt_input(s->g, "a", p->arg[i].rank, p->arg[i].dim);
        s->direction[i] = flt_input(s->g, "d", p->arg[i].rank, p->arg[i].dim);
        s->count[i] = flt_node_count(s->g, s->arg[i]);
        fill("a", i, s->count[i], 0.5, s->a[i]);
        fill("d", i, s->count[i], 0.1, s->d[i]); // short: frequencies turn fast
    }
    const flt_attend_desc desc = {
        .mechanism = p->mechanism, .settings = p->settings, .causal = p->causal, .seed = 5, .n_learned = p->n, .learned = p->arg};
    const flt_node y = flt_attend(s->g, &desc, s->qkv, s->arg);
    out[0] = s->loss = flt_sum_all(s->g, flt_square(s->g, y));
    cr_assert_eq(flt_gradient(s->g, s->loss, p->n, s->arg, out + 1), FLTE_OK, "%s: %s", p->label, flt_error());
    cr_assert_eq(flt_hessian_vector(s->g, s->loss, p->n, s->arg, s->direction, out + 1 + p->n), FLTE_OK, "%s: %s", p->label,
                 flt_error());
    cr_assert_eq(flt_exec_create(s->g, 1 + 2 * p->n, out, &s->exec), FLTE_OK, "%s: %s", p->label, flt_error());
    flt_graph_destroy(s->g); // executors keep what they need
    s->g = NULL;
    for (size_t i = 0; i < 3; i++) flt_exec_bind(s->exec, s->qkv[i], s->x[i]);
    for (size_t i = 0; i < p->n; i++) {
        flt_exec_bind(s->exec, s->arg[i], s->a[i]);
        flt_exec_bind(s->exec, s->direction[i], s->d[i]);
    }
}

// Loss and gradients at arguments + h direction.
static double at(subject *s, double h, double *grad) {
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->count[i]; j++) s->a[i][j] += (flt_real)h * s->d[i][j];
    flt_exec_run(s->exec);
    for (size_t i = 0, k = 0; i < s->n; i++)
        for (size_t j = 0; j < s->count[i]; j++) grad[k++] = (double)flt_exec_output(s->exec, 1 + i)[j];
    const double loss = (double)*flt_exec_output(s->exec, 0);
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->count[i]; j++) s->a[i][j] -= (flt_real)h * s->d[i][j];
    return loss;
}

// Central differences along the direction: eps^(2/3) of the scale, times what third derivatives add.
Test(graph_attention, learned_arguments_have_both_derivatives) {
    const double h = (double)(flt_real)cbrt(FLTX_EPS), tolerance = 100 * pow(FLTX_EPS, 2.0 / 3);
    for (const problem *p = problems; p < problems + PROBLEMS; p++) {
        subject s;
        double up[2 * MOST], down[2 * MOST], here[2 * MOST];
        begin(&s, p);
        const double above = at(&s, h, up), below = at(&s, -h, down), loss = at(&s, 0, here);
        double slope = 0, scale = fabs(loss), size = 0;
        size_t k = 0;
        for (size_t i = 0; i < s.n; i++)
            for (size_t j = 0; j < s.count[i]; j++, k++) {
                slope += here[k] * (double)s.d[i][j];
                scale += fabs(here[k]);
            }
        cr_assert(fabs(slope - (above - below) / (2 * h)) <= tolerance * scale, "%s: slope %.10g, by differences %.10g", p->label,
                  slope, (above - below) / (2 * h));
        k = 0;
        for (size_t i = 0; i < s.n; i++)
            for (size_t j = 0; j < s.count[i]; j++, k++) {
                const double got = (double)flt_exec_output(s.exec, 1 + s.n + i)[j], want = (up[k] - down[k]) / (2 * h);
                size = fmax(size, fabs(got));
                cr_assert(fabs(got - want) <= tolerance * (scale + fabs(got)), "%s: (H d)%zu[%zu] = %.10g, by differences %.10g",
                          p->label, i, j, got, want);
            }
        cr_assert(size > 0, "%s: the Hessian is zero", p->label);
        flt_exec_destroy(s.exec);
    }
}

// A plan takes new values exactly when they change, and a value that it refuses is a NaN, not the last good answer.
Test(graph_attention, follows_its_arguments) {
    subject s;
    double grad[2 * MOST];
    begin(&s, &problems[0]);
    const double first = at(&s, 0, grad), moved = at(&s, 0.5, grad), again = at(&s, 0, grad);
    cr_assert(first == again && first != moved, "%g, %g, %g", first, moved, again);
    const size_t before = flt_alloc_count();
    s.a[0][1] = (flt_real)NAN;
    flt_exec_run(s.exec);
    cr_assert(isnan((double)*flt_exec_output(s.exec, 0)) && isnan((double)flt_exec_output(s.exec, 1)[0]));
    fill("a", 0, s.count[0], 0.5, s.a[0]);
    cr_assert(at(&s, 0, grad) == first, "it does not recover");
    cr_assert_eq(flt_alloc_count(), before, "running allocates");
    flt_exec_destroy(s.exec);
}

// ---- refusals

static flt_node attend(flt_graph *g, const flt_attend_desc *d, const size_t *q, const size_t *v, const flt_node *nodes) {
    const flt_node in[] = {flt_input(g, "q", 4, q), flt_input(g, "k", 4, q), flt_input(g, "v", 4, v)};
    return flt_attend(g, d, in, nodes);
}

static void check_refusal(const flt_attend_desc *d, const size_t *q, const size_t *v, flt_err want, const char *says) {
    const size_t before = flt_live_blocks();
    flt_graph *g = NULL;
    cr_assert_eq(flt_graph_create(&g), FLTE_OK);
    const flt_node y = attend(g, d, q, v, NULL);
    cr_assert(y.id < 0 && flt_graph_status(g) == want && strstr(flt_error(), says) != NULL, "%s: %s", says, flt_error());
    flt_graph_destroy(g);
    cr_assert_eq(flt_live_blocks(), before, "%s leaks", says);
}

Test(graph_attention, says_what_is_wrong) {
    const size_t q[] = {1, 2, 4, 3}, v[] = {1, 2, 5, 3}, good[] = {1, 2, 4, 5};
    check_refusal(&(flt_attend_desc){.mechanism = "exactly"}, q, good, FLTE_NAME, "did you mean 'exact'?");
    check_refusal(&(flt_attend_desc){.mechanism = "exact"}, q, v, FLTE_SHAPE, "[B, H, N, d] twice");
    check_refusal(&(flt_attend_desc){.mechanism = "performer", .settings = "n=4"}, q, good, FLTE_NAME, "'n'");
    check_refusal(&(flt_attend_desc){.mechanism = "fftnet", .causal = true}, q, q, FLTE_UNSUPPORTED, "no causal form");
    check_refusal(&(flt_attend_desc){.mechanism = "fourier", .settings = "keep=2,lengthen=false"}, q, good, FLTE_UNSUPPORTED,
                  "2 rows for 4 tokens");
}

// First derivatives in an encoding's arguments are there, second ones are refused with those that are.
Test(graph_attention, refuses_second_derivatives_that_it_lacks) {
    const size_t q[] = {1, 2, 4, 3};
    const flt_attention_arg width = {"scale", 0, {0}, ones};
    const flt_attend_desc d = {.mechanism = "exact", .settings = "rpe=laplace", .n_learned = 1, .learned = &width};
    flt_graph *g = NULL;
    flt_node grad, hv;
    cr_assert_eq(flt_graph_create(&g), FLTE_OK);
    const flt_node x = flt_input(g, "x", 4, q), scale = flt_input(g, "scale", 0, NULL);
    const flt_node y = flt_attend(g, &d, (flt_node[]){x, x, x}, &scale), s = flt_sum_all(g, flt_square(g, y));
    cr_assert_eq(flt_gradient(g, s, 1, &scale, &grad), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_hessian_vector(g, s, 1, &x, &x, &hv), FLTE_UNSUPPORTED);
    cr_assert(strstr(flt_error(), "in the argument 'scale'; it has them in: bias, lag_bias") != NULL, "%s", flt_error());
    flt_graph_destroy(g);
}
