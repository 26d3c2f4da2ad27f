// SPDX-License-Identifier: MIT
// Gradients that go back through the updates, as the outer loop forms them: the derivative of the meta-loss that the same window
// reports, by central differences in theta, for every meta-loss; what they see of an episode and what not.
#include "../meta/engine/outer.h"
#include "meta_fixture.h"

static const char *const two_tasks[] = {"noisy", "line"};

// In double the differences keep 9 digits, in float 3.
#ifdef FLTX_DOUBLE
static const double step = 1e-5, bound = 1e-7;
#else
static const double step = 1e-2, bound = 5e-3;
#endif

static flt_meta_config config(size_t n_tasks, const char *const *tasks) {
    flt_meta_config c;
    flt_meta_defaults(&c);
    c.n_tasks = n_tasks;
    c.tasks = tasks;
    c.make = fake_make;
    c.outer_lr = 0;
    c.clip = 0;
    c.particles = 4;
    c.window = 13;
    c.unroll_min = 9;
    c.unroll_max = 30;
    c.log_loss = false;
    c.threads = 1;
    return c;
}

typedef struct outcome {
    double loss, gradient[2];
} outcome;

// Of window number `window` under theta: the windows before it run under theta_0.
static outcome run(const flt_meta_config *c, const char *estimator, size_t window, const double before[2],
                   const double theta[2]) {
    const flt_estimator_kind *kind = NULL;
    flt_outer o;
    flt_weights w = fake_weights(before[0], before[1]);
    cr_assert(eq(int, flt_estimator_find(estimator, &kind), FLTE_OK));
    cr_assert(eq(int, flt_outer_create(c, kind, &w, &o), FLTE_OK), "%s", flt_error());
    for (size_t i = 0; i <= window; i++) {
        if (i == window)
            for (int j = 0; j < 2; j++) w.theta[j] = (flt_real)theta[j];
        cr_assert(eq(int, flt_outer_gradient(&o), FLTE_OK));
        if (i < window) flt_outer_update(&o);
    }
    const outcome x = {o.loss, {o.gradient[0], o.gradient[1]}};
    flt_outer_destroy(&o);
    fake_weights_free(&w);
    return x;
}

static void check(const flt_meta_config *c, const char *estimator, size_t window, const char *label) {
    static const double theta[2] = {0.7, 0.3};
    const outcome at = run(c, estimator, window, theta, theta);
    double want[2];
    for (int j = 0; j < 2; j++) {
        double up[2] = {theta[0], theta[1]}, down[2] = {theta[0], theta[1]};
        up[j] += step;
        down[j] -= step;
        want[j] = (run(c, estimator, window, theta, up).loss - run(c, estimator, window, theta, down).loss) / (2 * step);
    }
    const double off = hypot(at.gradient[0] - want[0], at.gradient[1] - want[1]), scale = hypot(want[0], want[1]);
    cr_assert(scale > 1e-3, "%s, %s: the derivative is 0", estimator, label);
    const double rounding = 4 * 0x1p-52 * fabs(at.loss) / step; // of the differences
    cr_assert(off <= bound * scale + rounding, "%s, %s: got %g %g, want %g %g", estimator, label, at.gradient[0], at.gradient[1],
              want[0], want[1]);
}

Test(meta_back, gradients_are_the_derivative_of_the_reported_loss) {
    static const char *const reductions[] = {"mean", "last", "min"}, *const kinds[] = {"full_bptt", "tbptt"};
    for (int variant = 0; variant < 24; variant++) {
        flt_meta_config c = config(2, two_tasks);
        char label[96];
        c.reduction = reductions[variant % 3];
        c.log_loss = variant / 3 % 2;
        c.held_out = variant / 6 % 2;
        c.loss_power = variant % 3 == 0 ? 1.5 * c.log_loss : 0;
        snprintf(label, sizeof label, "%s, log %d, held out %d, power %g", c.reduction, c.log_loss, c.held_out, c.loss_power);
        for (size_t window = 0; window < 3; window++) check(&c, kinds[variant / 12], window, label);
    }
}

// Steps whose loss is clipped count as constants, and so do all from the first loss on that is not finite.
Test(meta_back, clipped_losses_have_no_slope) {
    static const char *const tasks[] = {"low", "bomb", "floor", "glitch"};
    for (int i = 0; i < 4; i++) {
        flt_meta_config c = config(1, &tasks[i]);
        c.particles = 2;
        check(&c, "full_bptt", 0, tasks[i]);
        check(&c, "tbptt", 0, tasks[i]);
    }
}

// Both arms of a particle are problems of their own, which halves the variance at the same price.
Test(meta_back, arms_are_different_problems) {
    const flt_estimator_kind *kind = NULL;
    flt_meta_config c = config(1, two_tasks);
    flt_outer o;
    flt_weights w = fake_weights(0.7, 0.3);
    cr_assert(eq(int, flt_estimator_find("full_bptt", &kind), FLTE_OK));
    cr_assert(eq(int, flt_outer_create(&c, kind, &w, &o), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_outer_gradient(&o), FLTE_OK));
    for (size_t u = 0; u < 8; u++)
        for (size_t v = 0; v < u; v++) cr_assert(ne(dbl, o.outcome.gradient[2 * u], o.outcome.gradient[2 * v]), "%zu %zu", u, v);
    flt_outer_destroy(&o);
    fake_weights_free(&w);
}

// ---- what a window sees of the episode
enum { LENGTH = 24, WINDOW = 4 };

static double mean_gradient(const char *estimator, int j) {
    static const double theta[2] = {0.7, 0.3};
    flt_meta_config c = config(1, two_tasks + 1);
    double sum = 0;
    c.particles = 1;
    c.window = WINDOW;
    c.unroll_min = c.unroll_max = LENGTH;
    c.in_phase = true;
    for (size_t i = 0; i < LENGTH / WINDOW; i++) sum += run(&c, estimator, i, theta, theta).gradient[j];
    return sum / (LENGTH / WINDOW);
}

// The task "line" has no noise: over an episode's windows the mean of truncated gradients is short of the whole one, for good.
Test(meta_back, truncation_is_biased) {
    const double whole[] = {mean_gradient("full_bptt", 0), mean_gradient("full_bptt", 1)};
    const double cut[] = {mean_gradient("tbptt", 0), mean_gradient("tbptt", 1)};
    const double off = hypot(whole[0] - cut[0], whole[1] - cut[1]), scale = hypot(whole[0], whole[1]);
    cr_assert(off > 0.2 * scale, "off by %g beside %g", off, scale);
}

Test(meta_back, windows_allocate_nothing) {
    static const char *const kinds[] = {"full_bptt", "tbptt", "full_es"};
    for (int e = 0; e < 3; e++) {
        const flt_estimator_kind *kind = NULL;
        flt_meta_config c = config(2, two_tasks);
        flt_outer o;
        flt_weights w = fake_weights(0.7, 0.3);
        c.threads = 2;
        cr_assert(eq(int, flt_estimator_find(kinds[e], &kind), FLTE_OK));
        cr_assert(eq(int, flt_outer_create(&c, kind, &w, &o), FLTE_OK), "%s", flt_error());
        const size_t before = flt_alloc_count();
        for (int i = 0; i < 10; i++) {
            flt_outer_gradient(&o);
            flt_outer_update(&o);
        }
        cr_assert(eq(sz, flt_alloc_count(), before), "%s", kinds[e]);
        flt_outer_destroy(&o);
        fake_weights_free(&w);
    }
}

// ---- refusals
Test(meta_back, what_cannot_be_is_refused) {
    flt_meta_config c = config(1, two_tasks);
    flt_weights w = fake_weights(0.7, 0.3);
    c.estimator = "tbptt";
    c.difference = "sign";
    cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), FLTE_USAGE));
    cr_assert(ne(ptr, strstr(flt_error(), "tbptt has no antithetic differences"), NULL), "%s", flt_error());
    c.difference = "plain";
    flt_optimizer_kind plain = fake_kind;
    plain.graph = NULL;
    w.kind = &plain;
    cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), FLTE_UNSUPPORTED));
    cr_assert(ne(ptr, strstr(flt_error(), "lstm"), NULL), "%s", flt_error());
    fake_weights_free(&w);
}
