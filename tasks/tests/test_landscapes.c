// SPDX-License-Identifier: MIT
// Test functions against the usual formulas in plain double, and their stated minima: value, vanishing gradient, nothing lower
// near by.
#include "support.h"

// Formulas as their sources print them; *scale collects the magnitude of the terms that cancel.
static double ackley(size_t n, const double *x, double *scale) {
    double squares = 0.0, waves = 0.0;
    for (size_t i = 0; i < n; i++) {
        squares += x[i] * x[i] / (double)n;
        waves += cos(2 * M_PI * x[i]) / (double)n;
    }
    *scale = 23 + 7 * sqrt(squares);
    return -20 * exp(-0.2 * sqrt(squares)) - exp(waves) + exp(1) + 20;
}

static double rastrigin(size_t n, const double *x, double *scale) {
    double sum = 10.0 * (double)n;
    *scale = sum;
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i] - 10 * cos(2 * M_PI * x[i]);
        *scale += x[i] * x[i] + 63 * fabs(x[i]); // rounding of 2 pi x
    }
    return sum;
}

static double styblinski_tang(size_t n, const double *x, double *scale) {
    double sum = 39.16616570377142 * (double)n;
    *scale = sum;
    for (size_t i = 0; i < n; i++) {
        sum += 0.5 * (pow(x[i], 4) - 16 * x[i] * x[i] + 5 * x[i]);
        *scale += 0.5 * (pow(x[i], 4) + 16 * x[i] * x[i] + 5 * fabs(x[i]));
    }
    return sum;
}

static double beale(size_t n, const double *x, double *scale) {
    (void)n;
    const double a = x[0], b = x[1], t[] = {1.5 - a + a * b, 2.25 - a + a * b * b, 2.625 - a + a * b * b * b};
    *scale = pow(3 + 2 * fabs(a) + fabs(a * b * b * b), 2);
    return t[0] * t[0] + t[1] * t[1] + t[2] * t[2];
}

static double booth(size_t n, const double *x, double *scale) {
    (void)n;
    *scale = pow(7 + 2 * fabs(x[0]) + 2 * fabs(x[1]), 2);
    return pow(x[0] + 2 * x[1] - 7, 2) + pow(2 * x[0] + x[1] - 5, 2);
}

static double matyas(size_t n, const double *x, double *scale) {
    (void)n;
    *scale = x[0] * x[0] + x[1] * x[1];
    return 0.26 * (x[0] * x[0] + x[1] * x[1]) - 0.48 * x[0] * x[1];
}

static double branin(size_t n, const double *x, double *scale) {
    (void)n;
    const double valley = x[1] - 5.1 / (4 * M_PI * M_PI) * x[0] * x[0] + 5 / M_PI * x[0] - 6;
    *scale = 20 + pow(6 + fabs(x[1]) + 2 * fabs(x[0]) + x[0] * x[0], 2);
    return valley * valley + 10 * (1 - 1 / (8 * M_PI)) * cos(x[0]) + 10;
}

static double logsumexp(size_t n, const double *x, double *scale) {
    (void)n;
    *scale = 1 + fabs(x[0]) + 3 * fabs(x[1]);
    return log(exp(x[0] + 3 * x[1] - 0.1) + exp(x[0] - 3 * x[1] - 0.1) + exp(-x[0] - 0.1) + 1);
}

static double saddle(size_t n, const double *x, double *scale) { // q = 1/4
    double sum = (double)(n / 2);
    for (size_t i = 0; i < n; i++) sum += i < (n + 1) / 2 ? x[i] * x[i] : pow(x[i], 4) / 4 - x[i] * x[i];
    *scale = (double)n;
    for (size_t i = 0; i < n; i++) *scale += x[i] * x[i] + pow(x[i], 4) / 4;
    return sum;
}

static double dependency_chain(size_t n, const double *x, double *scale) {
    double sum = x[0] * x[0];
    for (size_t i = 1; i < n; i++) sum += x[i] * x[i] / (x[i - 1] * x[i - 1] + 1e-6);
    *scale = sum;
    return sum;
}

static double min_max_well(size_t n, const double *x, double *scale) {
    double most = 0, least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, x[i] * x[i]);
        least = fmin(least, x[i] * x[i]);
    }
    *scale = most + 1 / least + 2;
    return most + 1 / least - 2;
}

typedef struct function {
    const char *spec;
    double (*value)(size_t n, const double *x, double *scale);
    double minimum, at[3], tail; // at: the first variables of a minimiser; tail: the others
} function;

static const function functions[] = {
    {"ackley", ackley, 0, {0, 0, 0}, 0},
    {"ackley:dimension=7", ackley, 0, {0, 0, 0}, 0},
    {"rastrigin", rastrigin, 0, {0, 0, 0}, 0},
    {"rastrigin:dimension=5", rastrigin, 0, {0, 0, 0}, 0},
    {"styblinski_tang", styblinski_tang, 0, {-2.903534027771177, -2.903534027771177, 0}, 0},
    {"styblinski_tang:dimension=1", styblinski_tang, 0, {-2.903534027771177, 0, 0}, 0},
    {"beale", beale, 0, {3, 0.5, 0}, 0},
    {"booth", booth, 0, {1, 3, 0}, 0},
    {"matyas", matyas, 0, {0, 0, 0}, 0},
    {"branin", branin, 0.3978873577297384, {-M_PI, 12.275, 0}, 0},
    {"branin", branin, 0.3978873577297384, {M_PI, 2.275, 0}, 0},
    {"branin", branin, 0.3978873577297384, {3 * M_PI, 2.475, 0}, 0},
    {"logsumexp", logsumexp, 1.2695545395615329, {-0.34657359027997264, 0, 0}, 0},
    {"saddle", saddle, 0, {0, 1.4142135623730951, 0}, 0},
    {"saddle", saddle, 0, {0, -1.4142135623730951, 0}, 0},
    {"saddle:dimension=5", saddle, 0, {0, 0, 0}, 1.4142135623730951},
    {"dependency_chain", dependency_chain, 0, {0, 0, 0}, 0},
    {"dependency_chain:dimension=2", dependency_chain, 0, {0, 0, 0}, 0},
    {"min_max_well", min_max_well, 0, {1, -1, 1}, -1},
    {"min_max_well:dimension=3", min_max_well, 0, {-1, 1, 1}, 0},
    {"min_max_well:dimension=2", min_max_well, 0, {-1, -1, 0}, 0},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions, MAX = 32 };

static double loss_of(const flt_objective *o, const flt_real *x) {
    return (double)o->gradient(o->self, (flt_batch){0}, x, NULL);
}

Test(landscapes, are_the_printed_formulas) {
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        const function *c = &functions[f];
        flt_objective *o = make(c->spec);
        const size_t n = o->layout.total;
        cr_assert_leq(n, MAX);
        for (uint64_t k = 0; k < 50; k++) {
            flt_real *x = initial(o, k);
            double exact[MAX], scale = 0.0;
            for (size_t i = 0; i < n; i++) exact[i] = (double)x[i];
            const double want = c->value(n, exact, &scale), got = loss_of(o, x);
            cr_assert(fabs(got - want) <= 30 * FLTX_EPS * (scale + fabs(want)), "%s, start %d: %.9g, not %.9g (scale %.3g)",
                      c->spec, (int)k, got, want, scale);
            cr_assert(got >= o->minimum - 30 * FLTX_EPS * scale, "%s, start %d: %.9g below the minimum", c->spec, (int)k, got);
            free(x);
        }
        flt_objective_destroy(o);
    }
}

static flt_real *minimiser(const function *c, size_t n) {
    flt_real *x = vector(n);
    for (size_t i = 0; i < n; i++) x[i] = (flt_real)(i < 3 ? c->at[i] : c->tail);
    return x;
}

Test(landscapes, have_the_stated_minima) {
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        const function *c = &functions[f];
        flt_objective *o = make(c->spec);
        const size_t n = o->layout.total;
        flt_real *x = minimiser(c, n), *near = vector(n);
        double exact[MAX], scale = 0.0;
        for (size_t i = 0; i < n; i++) exact[i] = (double)x[i];
        c->value(n, exact, &scale);
        const double lowest = loss_of(o, x), slack = 30 * FLTX_EPS * (scale + 1);
        cr_assert(fabs(o->minimum - c->minimum) <= 1e-9, "%s: states %.12g", c->spec, o->minimum);
        cr_assert(fabs(lowest - c->minimum) <= slack, "%s: %.9g, not %.9g", c->spec, lowest, c->minimum);
        cr_assert_eq(evaluate(o, 1, FLTX_TEST, x, NULL), lowest, "%s", c->spec);
        for (uint64_t k = 0; k < 30; k++) {
            flt_real *v = normals(n, k);
            for (size_t i = 0; i < n; i++) near[i] = x[i] + (flt_real)0.05 * v[i];
            cr_assert(loss_of(o, near) >= lowest - slack, "%s: %.9g near %.9g", c->spec, loss_of(o, near), lowest);
            free(v);
        }
        free(x);
        free(near);
        flt_objective_destroy(o);
    }
}

// The smooth ones: the gradient vanishes there, up to the rounding of the minimiser times the curvature.
Test(landscapes, are_stationary_at_their_minima) {
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        const function *c = &functions[f];
        if (c->value == ackley || c->value == min_max_well || c->value == dependency_chain)
            continue; // kinks, ties, curvature 1e6
        flt_objective *o = make(c->spec);
        const size_t n = o->layout.total;
        flt_real *x = minimiser(c, n), *g = vector(n);
        o->gradient(o->self, (flt_batch){0}, x, g);
        cr_assert(norm(n, g) <= 30 * FLTX_EPS * 400 * sqrt((double)n), "%s: gradient %.3g", c->spec, norm(n, g));
        free(x);
        free(g);
        flt_objective_destroy(o);
    }
}

Test(landscapes, min_max_well_moves_two_variables) {
    for (size_t n = 2; n <= 33; n++) {
        char spec[64];
        size_t moved = 0;
        snprintf(spec, sizeof spec, "min_max_well:dimension=%zu", n);
        flt_objective *o = make(spec);
        flt_real *x = initial(o, n), *g = vector(n);
        o->gradient(o->self, (flt_batch){0}, x, g);
        for (size_t i = 0; i < n; i++) moved += g[i] != 0;
        cr_assert_eq(moved, 2, "%s: %zu", spec, moved);
        free(x);
        free(g);
        flt_objective_destroy(o);
    }
}

Test(landscapes, normalisers_are_means_at_the_start) {
    static const struct {
        const char *spec;
        double within; // relative
    } cases[] = {{"rastrigin:dimension=100", 0.03},
                 {"styblinski_tang:dimension=100", 0.03},
                 {"ackley:dimension=20", 0.03},
                 {"booth", 0.2},
                 {"matyas", 0.2},
                 {"branin", 0.2},
                 {"logsumexp", 0.2},
                 {"saddle:dimension=50", 0.03},
                 {"dependency_chain:dimension=300", 0.03},
                 {"min_max_well:dimension=2", 0.5},
                 {"min_max_well:dimension=20", 0.2},
                 {"min_max_well:dimension=500", 0.1},
                 {"outward_snake:dimension=100", 0.05}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        enum { SEEDS = 200 };
        flt_objective *o = make(cases[c].spec);
        double mean = 0.0;
        for (uint64_t k = 0; k < SEEDS; k++) {
            flt_real *x = initial(o, k);
            mean += (double)o->gradient(o->self, (flt_batch){k, FLTX_TRAIN, 0}, x, NULL) / SEEDS;
            free(x);
        }
        cr_assert(fabs(mean / o->normaliser - 1) < cases[c].within, "%s: mean %.4g, normaliser %.4g", cases[c].spec, mean,
                  o->normaliser);
        flt_objective_destroy(o);
    }
}

// Masks are half ones, and the path x_j = pi cos x_{j-1} leads to 0.
Test(landscapes, outward_snake_falls_along_its_path) {
    flt_objective *o = make("outward_snake:batch=1000");
    const size_t n = o->layout.total;
    flt_real *x = vector(n);
    double before = INFINITY;
    for (double far = 10; far < 1e4; far *= 3) {
        double at = far, squares = 0.0;
        for (size_t i = 0; i < n; i++, at = M_PI * cos(at)) {
            x[i] = (flt_real)at;
            at = (double)x[i];
            squares += at * at;
        }
        const double loss = evaluate(o, 3, FLTX_TEST, x, NULL), want = 0.5 / sqrt(squares);
        cr_assert(loss < before && fabs(loss / want - 1) < 0.1, "%g: %.6g, not %.6g", far, loss, want);
        before = loss;
    }
    free(x);
    flt_objective_destroy(o);
}

// Each task that states a minimum is in the table above, or has a test of its own that reaches it.
Test(landscapes, no_stated_minimum_is_untested) {
    static const char *const elsewhere[] = {"matrix_factorisation", "outward_snake", "quadratic", "rosenbrock",
                                            "teacher_student"};
    const flt_registry *r = flt_task_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const char *name = r->kinds[i]->name;
        bool tested = (r->kinds[i]->caps & FLTX_TASK_MINIMUM) == 0;
        for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) tested |= strcmp(functions[k].spec, name) == 0;
        for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++) tested |= strcmp(elsewhere[k], name) == 0;
        cr_assert(tested, "%s states a minimum that no test reaches: add a row to `functions`, or name the test that does", name);
    }
}
