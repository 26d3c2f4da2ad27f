// SPDX-License-Identifier: MIT
// sgd, momentum and adam against PyTorch's definitions written out in long double.
#include "opt_support.h"

enum { P = 37, T = 50 };

typedef long double real;

typedef struct rates {
    real lr, mu, beta1, beta2, eps, decay;
} rates;

typedef struct cell {
    real p, m, v;
    double path; // |start| and the length of all moves: what roundings are relative to
} cell;

static void sgd(const rates *r, int n, real g, cell *c) {
    (void)n;
    c->p -= r->lr * (g + r->decay * c->p);
}

// torch.optim.SGD: buf = g at the first step, then buf = mu buf + (1 - dampening) g with dampening 0
static void momentum(const rates *r, int n, real g, cell *c) {
    g += r->decay * c->p;
    c->m = n == 1 ? g : r->mu * c->m + g;
    c->p -= r->lr * c->m;
}

// torch.optim.Adam (single tensor): denom = sqrt(v) / sqrt(bias_correction2) + eps; p -= lr / bias_correction1 m / denom
static void adam(const rates *r, int n, real g, cell *c) {
    g += r->decay * c->p;
    c->m = r->beta1 * c->m + (1 - r->beta1) * g;
    c->v = r->beta2 * c->v + (1 - r->beta2) * g * g;
    const real c1 = 1 - powl(r->beta1, n), c2 = 1 - powl(r->beta2, n);
    c->p -= r->lr / c1 * c->m / (sqrtl(c->v) / sqrtl(c2) + r->eps);
}

typedef struct trial {
    const char *name, *set;
    void (*want)(const rates *r, int n, real g, cell *c);
    rates r;
} trial;

static const trial trials[] = {
    {"sgd", "", sgd, {.lr = 1e-3L}},
    {"sgd", "lr=0.3,weight_decay=0.1", sgd, {.lr = 0.3L, .decay = 0.1L}},
    {"momentum", "", momentum, {.lr = 1e-3L, .mu = 0.9L}},
    {"momentum", "lr=0.01,momentum=0.99,weight_decay=0.2", momentum, {.lr = 0.01L, .mu = 0.99L, .decay = 0.2L}},
    {"adam", "", adam, {.lr = 1e-3L, .beta1 = 0.9L, .beta2 = 0.999L, .eps = 1e-8L}},
    {"adam", "lr=0.01,beta1=0.5,beta2=0.95,eps=1e-3,weight_decay=0.1", adam, {0.01L, 0, 0.5L, 0.95L, 1e-3L, 0.1L}},
};

// Gradients of very different sizes, so that adam's eps and its place count for some.
static flt_real gradient(flt_rng rng, size_t t, size_t i) {
    return (flt_real)(pow(10.0, (double)(i % 11) - 9) * flt_rng_normal_at(rng, t * P + i));
}

static void check_trial(const trial *c) {
    flt_weights w = opt_weights(c->name, c->set);
    flt_layout layout = opt_layout((opt_shape[]){{"a", 1, {5}}, {"b", 2, {8, 4}}, {NULL, 0, {0}}});
    flt_real *start = opt_normal(1, P, 0.01), *grad = opt_array(P);
    const flt_rng rng = flt_rng_make(2, "gradients", 0);
    opt_run run = opt_start(&w, &layout, start);
    cell cells[P] = {0};
    for (size_t i = 0; i < P; i++) {
        cells[i].p = start[i];
        cells[i].path = fabs((double)start[i]);
    }
    for (size_t t = 0; t < T; t++) {
        for (size_t i = 0; i < P; i++) {
            const real before = cells[i].p;
            grad[i] = gradient(rng, t, i);
            c->want(&c->r, (int)t + 1, grad[i], &cells[i]);
            cells[i].path += (double)fabsl(cells[i].p - before);
        }
        flt_optimizer_step(run.o, t, 1, grad, run.param, run.state);
        for (size_t i = 0; i < P; i++) {
            const double want = (double)cells[i].p, ratio = opt_ratio(1, run.param + i, &want, &cells[i].path, (double)t + 3);
            cr_assert_leq(ratio, 30, "%s %s: step %zu, parameter %zu: %.9g, wanted %.9g, ratio %.3g", c->name, c->set, t, i,
                          (double)run.param[i], want, ratio);
        }
    }
    opt_stop(&run);
    flt_free(start);
    flt_free(grad);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

Test(opt_hand, definitions) {
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) check_trial(&trials[i]);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(opt_hand, zero_gradient_changes_nothing) {
    static const char *const names[] = {"sgd",    "momentum", "nesterov", "rmsprop", "adagrad",   "adam", "adamw",
                                        "nadamw", "radam",    "lion",     "lamb",    "adafactor", "muon", "schedule_free_adamw"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        flt_weights w = opt_weights(names[i], "lr=0.5,weight_decay=0");
        flt_layout layout = opt_layout(opt_mixed);
        flt_real *start = opt_normal(3, layout.total, 1), *grads = opt_array(5 * layout.total);
        opt_run run = opt_start(&w, &layout, start);
        opt_steps(&run, 0, 5, grads);
        cr_assert_eq(memcmp(run.param, start, run.P * sizeof *start), 0, "%s", names[i]);
        opt_stop(&run);
        flt_free(start);
        flt_free(grads);
        flt_layout_free(&layout);
        flt_weights_free(&w);
    }
}

Test(opt_hand, closed_form_on_a_quadratic) { // p after n steps of gradient a p: (1 - lr a)^n p
    flt_weights w = opt_weights("sgd", "lr=0.25");
    flt_layout layout = opt_layout((opt_shape[]){{"x", 1, {P}}, {NULL, 0, {0}}});
    flt_real *start = opt_normal(4, P, 1), *grad = opt_array(P);
    opt_run run = opt_start(&w, &layout, start);
    for (size_t t = 0; t < T; t++) {
        for (size_t i = 0; i < P; i++) grad[i] = (flt_real)(i % 7) / 4 * run.param[i];
        flt_optimizer_step(run.o, t, 0, grad, run.param, run.state);
    }
    for (size_t i = 0; i < P; i++) {
        const double want = pow(1 - 0.25 * (double)(i % 7) / 4, T) * (double)start[i];
        const double ratio = opt_ratio(1, run.param + i, &want, &want, 2 * T);
        cr_assert_leq(ratio, 30, "parameter %zu: ratio %.3g", i, ratio);
    }
    opt_stop(&run);
    flt_free(start);
    flt_free(grad);
    flt_layout_free(&layout);
    flt_weights_free(&w);
}

Test(opt_hand, splitting_a_tensor_changes_nothing) {
    static const char *const names[] = {"sgd", "momentum", "adam"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        flt_weights w = opt_weights(names[i], "lr=0.01");
        flt_layout whole = opt_layout((opt_shape[]){{"x", 2, {7, 9}}, {NULL, 0, {0}}});
        flt_layout parts = opt_layout((opt_shape[]){{"x", 1, {5}}, {"y", 0, {0}}, {"z", 2, {19, 3}}, {NULL, 0, {0}}});
        flt_real *start = opt_normal(5, whole.total, 1), *grads = opt_normal(6, 20 * whole.total, 1);
        opt_run a = opt_start(&w, &whole, start), b = opt_start(&w, &parts, start);
        opt_steps(&a, 0, 20, grads);
        opt_steps(&b, 0, 20, grads);
        cr_assert_eq(memcmp(a.param, b.param, a.P * sizeof *start), 0, "%s", names[i]);
        opt_stop(&a);
        opt_stop(&b);
        flt_free(start);
        flt_free(grads);
        flt_layout_free(&whole);
        flt_layout_free(&parts);
        flt_weights_free(&w);
    }
}
