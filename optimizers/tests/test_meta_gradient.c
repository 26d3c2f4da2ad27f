// SPDX-License-Identifier: MIT
// Estimators against the derivative of unrolls that the test writes down itself. Estimates are judged by confidence intervals
// over independent seeds; a planted bias must fall outside of them.
#include "../meta/engine/outer.h"
#include "meta_fixture.h"

enum { SEEDS = 30 };

typedef struct system {
    const char *label;
    size_t window, length, particles, windows;
    bool log_loss;
} system_case;

// Mean meta-loss of one episode of the task "line", in double: x_0 = 0, losses from before each update.
static double episode(const system_case *c, double rate, double push) {
    double x = 0.0, m = 0.0, sum = 0.0;
    for (size_t t = 0; t < c->length; t++) {
        const double loss = (0.25 + 0.5 * (x - 1.0) * (x - 1.0)) / 2.0;
        sum += c->log_loss ? log(1e-6 + loss) : loss;
        m = 0.5 * m + (x - 1.0);
        x -= 0.3 * rate * m - 0.1 * push;
    }
    return sum / (double)c->length;
}

static void exact(const system_case *c, double rate, double push, double *g) {
    const double h = 1e-5;
    g[0] = (episode(c, rate + h, push) - episode(c, rate - h, push)) / (2 * h);
    g[1] = (episode(c, rate, push + h) - episode(c, rate, push - h)) / (2 * h);
}

// The mean gradient over windows once all phases of an episode are equally likely.
static void estimate(const system_case *c, const flt_estimator_kind *kind, uint64_t seed, double *g) {
    static const char *const task = "line";
    flt_meta_config m;
    flt_outer o;
    flt_meta_defaults(&m);
    m.n_tasks = 1;
    m.tasks = &task;
    m.make = fake_make;
    m.particles = c->particles;
    m.window = c->window;
    m.unroll_min = m.unroll_max = c->length;
    m.outer_lr = 0.0;
    m.sigma = 0.02;
    m.log_loss = c->log_loss;
    m.seed = seed;
    m.threads = 1;
    flt_weights w = fake_weights(0.7, 0.3);
    cr_assert(eq(int, flt_outer_create(&m, kind, &w, &o), FLTE_OK), "%s: %s", c->label, flt_error());
    const size_t burn_in = (c->length + c->window - 1) / c->window;
    g[0] = g[1] = 0.0;
    for (size_t i = 0; i < burn_in + c->windows; i++) {
        flt_outer_gradient(&o);
        for (int j = 0; i >= burn_in && j < 2; j++) g[j] += o.gradient[j] / (double)c->windows;
        flt_outer_update(&o);
    }
    flt_outer_destroy(&o);
    fake_weights_free(&w);
}

typedef struct interval {
    double mean, half; // half-width at 30 seeds: 4.6 standard errors, wrong once in 10,000
} interval;

static void intervals(const system_case *c, const flt_estimator_kind *kind, interval out[2]) {
    double sum[2] = {0}, squares[2] = {0}, g[2];
    for (uint64_t s = 0; s < SEEDS; s++) {
        estimate(c, kind, 100 + s, g);
        for (int j = 0; j < 2; j++) sum[j] += g[j], squares[j] += g[j] * g[j];
    }
    for (int j = 0; j < 2; j++) {
        const double mean = sum[j] / SEEDS, variance = fmax(squares[j] / SEEDS - mean * mean, 0.0) * SEEDS / (SEEDS - 1.0);
        out[j] = (interval){mean, 4.6 * sqrt(variance / SEEDS)};
    }
}

static const system_case systems[] = {
    {"window divides the episode", 3, 12, 40, 60, false}, {"resets inside windows", 5, 12, 40, 60, false},
    {"several episodes a window", 7, 3, 40, 60, false},   {"one window an episode", 12, 12, 40, 40, false},
    {"log loss, long episode", 5, 40, 40, 150, true},
};

static void check_unbiased(const char *name) {
    const flt_estimator_kind *kind = NULL;
    cr_assert(eq(int, flt_estimator_find(name, &kind), FLTE_OK), "%s: %s", name, flt_error());
    for (size_t c = 0; c < sizeof systems / sizeof *systems; c++) {
        double want[2];
        interval got[2];
        exact(&systems[c], 0.7, 0.3, want);
        intervals(&systems[c], kind, got);
        const double scale = hypot(want[0], want[1]);
        for (int j = 0; j < 2; j++) {
            cr_assert(fabs(got[j].mean - want[j]) <= got[j].half, "%s, %s, theta %d: want %g, got %g +- %g", name,
                      systems[c].label, j, want[j], got[j].mean, got[j].half);
            cr_assert(got[j].half < 0.2 * scale, "%s, %s, theta %d: interval %g is too wide beside %g", name, systems[c].label, j,
                      got[j].half, scale);
        }
    }
}

Test(meta_gradient, pes_is_unbiased) {
    check_unbiased("pes");
}

Test(meta_gradient, nres_is_unbiased) {
    check_unbiased("nres");
}

Test(meta_gradient, full_es_is_unbiased) {
    check_unbiased("full_es");
}

// The same judge refuses PES without its sum of perturbations: truncated evolution strategies.
Test(meta_gradient, forgetting_earlier_perturbations_is_caught) {
    const flt_estimator_kind forgetful = {.kind = {.name = "forgetful"}, .fresh_per_window = true, .accumulates = false};
    double want[2];
    interval got[2];
    exact(&systems[0], 0.7, 0.3, want);
    intervals(&systems[0], &forgetful, got);
    const double off = hypot(got[0].mean - want[0], got[1].mean - want[1]);
    cr_assert(off > 2.0 * hypot(got[0].half, got[1].half), "off by %g +- %g", off, got[0].half);
    cr_assert(off > 0.2 * hypot(want[0], want[1]), "off by %g beside %g", off, hypot(want[0], want[1]));
}

// A gradient of known size: with one particle and one window an episode it is eps (L+ - L-) / (2 sigma^2) to the last digits.
Test(meta_gradient, one_window_is_antithetic_evolution_strategies) {
    const system_case c = {"one window", 12, 12, 1, 1, false};
    const flt_estimator_kind *kind = NULL;
    static const char *const task = "line";
    flt_meta_config m;
    flt_outer o;
    cr_assert(eq(int, flt_estimator_find("nres", &kind), FLTE_OK));
    flt_meta_defaults(&m);
    m = (flt_meta_config){.n_tasks = 1,
                          .tasks = &task,
                          .make = fake_make,
                          .particles = 1,
                          .window = 12,
                          .unroll_min = 12,
                          .unroll_max = 12,
                          .sigma = 0.02,
                          .seed = 5,
                          .threads = 1};
    flt_weights w = fake_weights(0.7, 0.3);
    cr_assert(eq(int, flt_outer_create(&m, kind, &w, &o), FLTE_OK), "%s", flt_error());
    o.particles.place[0] = (flt_place){.length = 12};
    flt_outer_gradient(&o);
    const flt_real *eps = flt_particles_eps(&o.particles, 0, 0);
    const double difference = episode(&c, 0.7 + eps[0], 0.3 + eps[1]) - episode(&c, 0.7 - eps[0], 0.3 - eps[1]);
    for (int j = 0; j < 2; j++) {
        const double want = eps[j] * difference / (2 * 0.02 * 0.02), scale = fabs(eps[j]) * 0.5 / (0.02 * 0.02);
        // 12 steps of a few roundings each, relative to losses of about 1/2
        const double ratio = fabs(o.gradient[j] - want) / (FLTX_EPS * 12 * scale);
        cr_assert(ratio <= 30, "theta %d: got %g, want %g, ratio %g", j, o.gradient[j], want, ratio);
    }
    flt_outer_destroy(&o);
    fake_weights_free(&w);
}

Test(meta_gradient, windows_allocate_nothing) {
    static const char *const tasks[] = {"noisy", "line"};
    const flt_estimator_kind *kind = NULL;
    flt_meta_config m;
    flt_outer o;
    cr_assert(eq(int, flt_estimator_find("pes", &kind), FLTE_OK));
    flt_meta_defaults(&m);
    m.n_tasks = 2;
    m.tasks = tasks;
    m.make = fake_make;
    m.threads = 2;
    flt_weights w = fake_weights(0.7, 0.3);
    cr_assert(eq(int, flt_outer_create(&m, kind, &w, &o), FLTE_OK), "%s", flt_error());
    const size_t before = flt_alloc_count();
    for (int i = 0; i < 20; i++) {
        flt_outer_gradient(&o);
        flt_outer_update(&o);
    }
    cr_assert(eq(sz, flt_alloc_count(), before));
    flt_outer_destroy(&o);
    fake_weights_free(&w);
}
