// SPDX-License-Identifier: MIT
// What meta-training says of itself: diagnostics of an outer step, and Adam's curves, against accounts of the test's own.
#include "../meta/engine/outer.h"
#include "../meta/engine/report.h"
#include "meta_fixture.h"

enum { STEPS = 12 };

static const char *const two_tasks[] = {"noisy", "glitch"};

static flt_meta_config config(void) {
    return fake_config(2, two_tasks);
}

// ---- diagnostics, from the outcomes themselves
typedef struct notes {
    double ratio, diverged, sample, update;
} notes;

static flt_err note(void *self, const char *name, uint64_t step, double value) {
    notes *n = self;
    (void)step;
    if (strcmp(name, "update_ratio") == 0) n->ratio = value;
    if (strcmp(name, "diverged") == 0) n->diverged = value;
    if (strcmp(name, "effective_sample_size") == 0) n->sample = value;
    if (strcmp(name, "update_norm") == 0) n->update = value;
    return FLTE_OK;
}

static void check_notes(const flt_outer *o, const notes *n) {
    double sum = 0, squares = 0, lost = 0;
    for (size_t i = 0; i < o->particles.count; i++) {
        double w = 0;
        for (size_t k = 0; k < o->particles.parts[i]; k++) {
            const double *loss = o->outcome.loss + 2 * i * o->particles.most_parts + k;
            w += fabs(loss[0] - loss[o->particles.most_parts]);
        }
        sum += w;
        squares += w * w;
        lost += o->outcome.clipped[2 * i] > 0 || o->outcome.clipped[2 * i + 1] > 0;
    }
    const double size = hypot(o->weights->theta[0], o->weights->theta[1]);
    cr_assert(fabs(n->sample - sum * sum / squares) <= 1e-12 * 5, "%g", n->sample);
    cr_assert(n->sample >= 1 && n->sample <= 5, "%g of 5 particles", n->sample);
    cr_assert(fabs(n->diverged - lost / 5) <= 1e-15, "%g", n->diverged);
    cr_assert(fabs(n->ratio - n->update / size) <= 1e-14, "%g", n->ratio);
}

Test(meta_diagnostics, diagnostics_say_what_they_claim) {
    const flt_estimator_kind *kind = NULL;
    const flt_meta_config c = config(); // the second task fails at step 3 of each episode
    flt_weights w = fake_weights(0.5, 0.1);
    flt_outer o;
    double most = 0;
    cr_assert(eq(int, flt_estimator_find("nres", &kind), FLTE_OK));
    cr_assert(eq(int, flt_outer_create(&c, kind, &w, &o), FLTE_OK), "%s", flt_error());
    for (int s = 0; s < 10; s++) {
        notes n = {0};
        cr_assert(eq(int, flt_outer_gradient(&o), FLTE_OK));
        flt_outer_update(&o);
        cr_assert(eq(int, flt_report_step(&o, &(flt_sink){.self = &n, .metric = note}, 1.0), FLTE_OK));
        check_notes(&o, &n);
        most = fmax(most, n.diverged);
    }
    cr_assert(eq(dbl, most, 0.4), "particles 1 and 3 run it");
    flt_outer_destroy(&o);
    fake_weights_free(&w);
}

// ---- movement of the inner problems
static flt_err inner_ratio(void *self, const char *name, uint64_t step, double value) {
    (void)step;
    if (strcmp(name, "inner_update_ratio") == 0) *(double *)self = value;
    return FLTE_OK;
}

// |change| / |x| of step `look` of "line" from its beginning, in the fake optimizer's hands.
static double movement_of_line(const double theta[2], size_t look) {
    double x = 0, m = 0, before = 0;
    for (size_t t = 0; t <= look; t++) {
        before = x;
        m = m / 2 + (x - 1);
        x -= 0.3 * theta[0] * m - 0.1 * theta[1];
    }
    return fabs(x - before) / fabs(x);
}

static double arm_of_line(const flt_outer *o, size_t u) {
    double theta[2];
    for (size_t j = 0; j < 2; j++) {
        const double eps = o->particles.kind->backpropagates ? 0 : (double)flt_particles_eps(&o->particles, u / 2, 0)[j];
        theta[j] = (double)o->weights->theta[j] + (u % 2 == 0 ? eps : -eps);
    }
    return movement_of_line(theta, o->particles.look[u / 2]);
}

// A window is an episode; the task "bomb" is "line" until it fails at step 7, so that what is looked at later stands still.
static size_t check_movement(flt_outer *o, bool bomb) {
    double sum = 0, found = -1;
    size_t n = 0;
    for (size_t u = 0; u < 10; u++) {
        const size_t look = o->particles.look[u / 2];
        cr_assert(look < STEPS, "%zu", look);
        if (bomb && look >= 7) {
            cr_assert(isnan(o->outcome.moved[u]), "arm %zu stands still in step %zu", u, look);
            continue;
        }
        const double want = arm_of_line(o, u);
        cr_assert(fabs(o->outcome.moved[u] - want) <= 100 * FLTX_EPS, "step %zu: %g, %g", look, o->outcome.moved[u], want);
        sum += want;
        n++;
    }
    cr_assert(eq(int, flt_report_step(o, &(flt_sink){.self = &found, .metric = inner_ratio}, 1.0), FLTE_OK));
    cr_assert(fabs(found - (n > 0 ? sum / (double)n : 0)) <= 100 * FLTX_EPS, "%g over %zu arms", found, n);
    return n;
}

Test(meta_diagnostics, inner_problems_move_by_what_is_said) {
    static const char *const kinds[] = {"nres", "full_es", "full_bptt"}, *const tasks[] = {"line", "bomb"};
    for (size_t v = 0; v < 6; v++) {
        const flt_estimator_kind *kind = NULL;
        flt_meta_config c = config();
        flt_weights w = fake_weights(0.5, 0.1);
        flt_outer o;
        size_t seen = 0, first = 0;
        c.n_tasks = 1;
        c.tasks = &tasks[v / 3];
        c.window = c.unroll_min = c.unroll_max = STEPS;
        c.in_phase = true;
        cr_assert(eq(int, flt_estimator_find(kinds[v % 3], &kind), FLTE_OK));
        cr_assert(eq(int, flt_outer_create(&c, kind, &w, &o), FLTE_OK), "%s", flt_error());
        for (int s = 0; s < 8; s++) {
            cr_assert(eq(int, flt_outer_gradient(&o), FLTE_OK));
            seen += check_movement(&o, v / 3 == 1);
            first += o.particles.look[0] == 0;
            flt_outer_update(&o);
        }
        cr_assert(v / 3 == 0 ? seen == 80 : seen > 20 && seen < 70, "%s: %zu arms moved", kinds[v % 3], seen);
        cr_assert(first < 4, "the step is drawn anew for each window");
        flt_outer_destroy(&o);
        fake_weights_free(&w);
    }
}

// ---- Adam's curves
// Mean loss over `steps` of the task "line" in Adam's hands, and the last one.
static void adam_on_line(double rate, int steps, double *mean, double *last) {
    double x = 0, m = 0, v = 0;
    *mean = 0;
    for (int t = 0; t < steps; t++) {
        *last = (0.25 + 0.5 * (x - 1) * (x - 1)) / 2;
        *mean += *last / steps;
        m = 0.9 * m + 0.1 * (x - 1);
        v = 0.999 * v + 0.001 * (x - 1) * (x - 1);
        x -= rate * (m / (1 - pow(0.9, t + 1))) / (sqrt(v / (1 - pow(0.999, t + 1))) + 1e-8);
    }
}

static flt_err gap(void *self, const char *name, uint64_t step, double value) {
    double *found = self; // meta_loss, loss_minus_adam, the same of a task, times
    (void)step;
    if (strcmp(name, "meta_loss") == 0) found[0] = value;
    if (strcmp(name, "loss_minus_adam") == 0) found[1] = value;
    if (strcmp(name, "loss_minus_adam/line") == 0) found[2] = value;
    if (strncmp(name, "loss_minus_adam", 15) == 0) found[3]++;
    return FLTE_OK;
}

// One window of whole episodes of 12 steps: x goes from 0 towards 1, and the largest rate, 0.1, is the best of the six.
Test(meta_diagnostics, the_gap_to_adam_is_measured) {
    static const char *const tasks[] = {"line", "floor"}, *const reductions[] = {"mean", "last"};
    for (int n = 1; n <= 2; n++) {
        for (int k = 0; k < 2; k++) {
            double mean = 0, last = 0, found[4] = {0};
            flt_weights w = fake_weights(0.5, 0.1);
            flt_meta_config c = config();
            c.n_tasks = (size_t)n;
            c.tasks = tasks;
            c.outer_steps = 1;
            c.window = c.unroll_min = c.unroll_max = STEPS;
            c.in_phase = true;
            c.log_loss = false;
            c.reduction = reductions[k];
            c.against_adam = true;
            c.threads = n;
            cr_assert(eq(int, flt_meta_train(&c, &w, &(flt_sink){.self = found, .metric = gap}, NULL), FLTE_OK), "%s",
                      flt_error());
            adam_on_line(0.1, STEPS, &mean, &last);
            const double want = found[0] - (k == 0 ? mean : last);
            cr_assert(fabs(found[1] - want) <= 30 * FLTX_EPS * STEPS, "%s: want %.9g, got %.9g", reductions[k], want, found[1]);
            cr_assert(eq(dbl, found[3], n == 1 ? 1 : 3), "one for all, and one a task where there are several");
            fake_weights_free(&w);
        }
    }
}

Test(meta_diagnostics, adams_curve_is_looked_up_between_bins) {
    double sum[] = {0, 3, 9, 10}; // of 10 steps: 0 to 2, 3 to 5, 6 to 9
    const flt_adam_curves r = {.tasks = 1, .bins = 3, .steps = 10, .sum = sum};
    const flt_meta_loss mean = {.reduction = FLTX_MEAN}, last = {.reduction = FLTX_LAST};
    const struct {
        flt_part part;
        double mean, last;
    } t[] = {{{.t = 0, .steps = 10}, 10, 2.5}, {{.t = 0, .steps = 3}, 3, 3}, {{.t = 2, .steps = 2}, 3, 4},
             {{.t = 3, .steps = 3}, 6, 6},     {{.t = 6, .steps = 4}, 1, 1}, {{.t = 9, .steps = 1}, 0.25, 0.25},
             {{.t = 5, .steps = 3}, 2.5, 0.75}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        cr_assert(fabs(flt_adam_curves_part(&r, &mean, 0, &t[i].part) - t[i].mean) <= 1e-13, "mean of case %zu", i);
        cr_assert(fabs(flt_adam_curves_part(&r, &last, 0, &t[i].part) - t[i].last) <= 1e-13, "last of case %zu", i);
    }
}
