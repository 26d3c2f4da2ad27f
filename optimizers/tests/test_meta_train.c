// SPDX-License-Identifier: MIT
// The outer loop: what runs inside, the same bits for any number of threads, contained divergence, reports, refusals.
#include "../engine/inner.h"
#include "../meta/engine/outer.h"
#include "meta_fixture.h"

static const char *const two_tasks[] = {"noisy", "line"};

static flt_meta_config config(const char *estimator, size_t n_tasks, const char *const *tasks) {
    flt_meta_config c = fake_config(n_tasks, tasks);
    c.estimator = estimator;
    c.outer_steps = 25;
    c.particles = 7;
    c.threads = 2;
    return c;
}

// ---- a sink that keeps what it was told
typedef struct memory {
    size_t n;
    double value[4096];
    size_t meta_losses, fail_at, progress_calls;
    uint64_t last_step;
    char status[160];
    double done;
} memory;

static flt_err keep(void *self, const char *name, uint64_t step, double value) {
    memory *m = self;
    if (strcmp(name, "inner_steps_per_s") == 0) {
        cr_assert(value > 0 && isfinite(value), "%g inner steps per second", value);
        return FLTE_OK;
    }
    if (strcmp(name, "meta_loss") == 0) m->meta_losses++;
    if (m->fail_at > 0 && m->meta_losses == m->fail_at) return flt_fail(FLTE_DB, "store", "the disk is full");
    m->last_step = step;
    if (m->n < 4096) m->value[m->n++] = value;
    return FLTE_OK;
}

static void progress(void *self, double done, const char *status) {
    memory *m = self;
    m->progress_calls++;
    m->done = done;
    snprintf(m->status, sizeof m->status, "%s", status);
}

// ---- what runs inside
// Particle i's arms hold what the inner loop gives when it is run by hand from the last reset with theta +- eps of its episode.
// Where each window brings another, only episodes that began in the window can be told.
static bool replay(const flt_outer *o, size_t i, size_t arm) {
    const flt_meta_config *c = o->config;
    const size_t last = o->particles.parts[i] - 1;
    const flt_part *part = &o->particles.part[i * o->particles.most_parts + last];
    if (o->particles.kind->fresh_per_window && part->t > 0) return false;
    const flt_real *eps = flt_particles_eps(&o->particles, i, last);
    const flt_arm at = flt_arms_at(&o->arms, i, arm);
    flt_real theta[2], param[8], state[8];
    flt_inner inner;
    const char *task = o->pool.spec[flt_task_pool_pick(&o->pool, i, part->episode)];
    if (c->draws == 0) cr_assert(eq(int, strcmp(task, c->tasks[i % c->n_tasks]), 0));
    for (int j = 0; j < 2; j++) theta[j] = o->weights->theta[j] + (arm == 0 ? eps[j] : -eps[j]);
    cr_assert(eq(int, flt_inner_create(o->weights, NULL, task, c->make, &inner), FLTE_OK));
    flt_optimizer_bind(inner.optimizer, theta);
    const uint64_t seed = flt_training_seed(c->seed, i, part->episode);
    flt_inner_begin(&inner, seed, param, state);
    for (uint64_t t = 0; t < part->t + part->steps; t++) flt_inner_step(&inner, seed, t, true, param, state);
    cr_assert(eq(int, memcmp(param, at.param, inner.params * sizeof *param), 0), "particle %zu, arm %zu: parameters", i, arm);
    cr_assert(eq(int, memcmp(state, at.state, inner.state * sizeof *state), 0), "particle %zu, arm %zu: state", i, arm);
    flt_inner_destroy(&inner);
    return true;
}

static void check_arms(flt_meta_config c) {
    const flt_estimator_kind *kind = NULL;
    flt_weights w = fake_weights(0.5, 0.1);
    flt_outer o;
    size_t replayed = 0;
    c.outer_lr = 0.0; // theta stays, so that the whole episode ran with one perturbation
    cr_assert(eq(int, flt_estimator_find(c.estimator, &kind), FLTE_OK));
    cr_assert(eq(int, flt_outer_create(&c, kind, &w, &o), FLTE_OK), "%s", flt_error());
    for (int step = 0; step < 12; step++) {
        flt_outer_gradient(&o);
        for (size_t i = 0; i < c.particles; i++)
            for (size_t arm = 0; arm < 2; arm++) replayed += replay(&o, i, arm);
        flt_outer_update(&o);
    }
    cr_assert(replayed > 10, "%zu arms were run by hand", replayed);
    flt_outer_destroy(&o);
    fake_weights_free(&w);
}

Test(meta_train, arms_equal_runs_by_hand) {
    check_arms(config("nres", 2, two_tasks));
    check_arms(config("pes", 2, two_tasks));
}

// The tasks drawn differ in size: 1, 3 and 5 parameters.
Test(meta_train, arms_equal_runs_by_hand_when_episodes_draw_tasks) {
    static const char *const any[] = {"noisy|line|bowl", "bowl|line"};
    flt_meta_config c = config("nres", 2, any);
    c.draws = 5;
    c.sample = fake_sample;
    check_arms(c);
    c.estimator = "pes"; // one perturbation, and another task within the window
    check_arms(c);
}

// ---- threads
static void train(flt_meta_config c, flt_real theta[2], memory *m) {
    const flt_sink sink = {.self = m, .metric = keep, .progress = progress};
    flt_meta_report report;
    flt_weights w = fake_weights(0.5, 0.1);
    cr_assert(eq(int, flt_meta_train(&c, &w, &sink, &report), FLTE_OK), "%s", flt_error());
    memcpy(theta, w.theta, 2 * sizeof *theta);
    cr_assert(eq(u64, report.outer_steps, c.outer_steps));
    cr_assert(eq(u64, report.inner_steps, c.outer_steps * 2 * c.particles * c.window));
    cr_assert(eq(u64, report.skipped, 0));
    fake_weights_free(&w);
}

Test(meta_train, threads_leave_no_trace) {
    static const char *const names[] = {"pes", "nres"};
    for (int e = 0; e < 2; e++) {
        flt_real first[2], other[2];
        memory *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
        flt_meta_config c = config(names[e], 2, two_tasks);
        c.threads = 1;
        train(c, first, a);
        cr_assert(first[0] != (flt_real)0.5 && isfinite(first[0]), "%s: theta moved", names[e]);
        for (int threads = 2; threads <= 3; threads++) {
            memset(b, 0, sizeof *b);
            c.threads = threads;
            train(c, other, b);
            cr_assert(eq(int, memcmp(first, other, sizeof first), 0), "%s, %d threads: theta", names[e], threads);
            cr_assert(eq(sz, a->n, b->n), "%s, %d threads", names[e], threads);
            cr_assert(eq(int, memcmp(a->value, b->value, a->n * sizeof *a->value), 0), "%s, %d threads: metrics", names[e],
                      threads);
        }
        c.seed++;
        train(c, other, b);
        cr_assert(ne(int, memcmp(first, other, sizeof first), 0), "%s: another seed gives the same", names[e]);
        free(a);
        free(b);
    }
}

Test(meta_train, reports_each_outer_step) {
    flt_real theta[2];
    memory *m = calloc(1, sizeof *m);
    train(config("pes", 2, two_tasks), theta, m);
    // meta_loss, one for each of two tasks, grad_norm, update_norm, clipped, update_ratio, inner_update_ratio, diverged,
    // effective_sample_size
    cr_assert(eq(sz, m->n, 25 * 10));
    cr_assert(eq(u64, m->last_step, 25));
    cr_assert(eq(sz, m->progress_calls, 25));
    cr_assert(eq(dbl, m->done, 1.0));
    cr_assert(ne(ptr, strstr(m->status, "step 25/25 meta-loss "), NULL), "%s", m->status);
    for (size_t s = 0; s < 25; s++) {
        const double *v = &m->value[10 * s]; // particles 0, 2, 4, 6 run the first task
        const double mean = (4 * v[1] + 3 * v[2]) / 7, scale = fabs(v[1]) + fabs(v[2]);
        cr_assert(fabs(v[0] - mean) <= 30 * 2.3e-16 * 7 * scale, "step %zu: mean of the tasks %g, reported %g", s, mean, v[0]);
        cr_assert(v[3] > 0 && v[4] > 0 && v[5] == 0, "step %zu: norms %g %g, clipped %g", s, v[3], v[4], v[5]);
        cr_assert(v[4] <= 3e-3 * 1.01 * 10, "step %zu: Adam moves each number by about its rate, here %g", s, v[4]);
    }
    free(m);
}

Test(meta_train, training_lowers_the_meta_loss) {
    static const char *const task = "line";
    flt_meta_config c = config("pes", 1, &task);
    memory *m = calloc(1, sizeof *m);
    flt_real theta[2];
    c.outer_steps = 400;
    c.particles = 8;
    c.outer_lr = 0.02;
    c.sigma = 0.05;
    c.threads = 1;
    train(c, theta, m);
    double early = 0.0, late = 0.0; // the first of 7 metrics
    for (size_t s = 0; s < 50; s++) {
        early += m->value[7 * s] / 50;
        late += m->value[7 * (s + 350)] / 50;
    }
    cr_assert(late < early - 0.05, "meta-loss %g at first, %g at last, theta %g %g", early, late, (double)theta[0],
              (double)theta[1]);
    free(m);
}

// ---- divergence
static flt_err contained(const char *task, flt_meta_config c, flt_weights *w, flt_meta_report *report) {
    c.n_tasks = 1;
    c.tasks = &task;
    const flt_err err = flt_meta_train(&c, w, NULL, report);
    for (int j = 0; j < 2; j++) cr_assert(isfinite(w->theta[j]), "%s: theta %d is %g", task, j, (double)w->theta[j]);
    return err;
}

// Episodes of 10 steps whose losses are NaN from step 7 on: once the phases are mixed, 3 of 10 inner steps are clipped.
Test(meta_train, losses_that_are_not_finite_are_counted) {
    static const char *const names[] = {"pes", "nres"};
    for (int e = 0; e < 2; e++) {
        flt_meta_config c = config(names[e], 0, NULL);
        flt_weights w = fake_weights(0.5, 0.1);
        flt_meta_report report;
        c.unroll_min = c.unroll_max = 10;
        c.outer_steps = 50;
        cr_assert(eq(int, contained("bomb", c, &w, &report), FLTE_OK), "%s", flt_error());
        const double share = (double)report.clipped / (double)report.inner_steps;
        cr_assert(share > 0.27 && share < 0.33, "%s: share %g of clipped steps", names[e], share);
        cr_assert(eq(u64, report.skipped, 0), "%s", names[e]);
        fake_weights_free(&w);
    }
}

// One arm falls off where x passes 0.8, its partner may not: the difference is large but finite, and theta stays finite.
Test(meta_train, one_diverging_arm_is_contained) {
    flt_weights w = fake_weights(0.5, 0.1);
    flt_meta_report report;
    flt_meta_config c = config("pes", 0, NULL);
    c.outer_steps = 200;
    c.sigma = 0.2;
    cr_assert(eq(int, contained("cliff", c, &w, &report), FLTE_OK), "%s", flt_error());
    cr_assert(report.clipped > 0 && report.clipped < report.inner_steps, "%zu of %zu steps clipped", (size_t)report.clipped,
              (size_t)report.inner_steps);
    fake_weights_free(&w);
}

// Rates of 50 make x overflow within an episode: infinities and NaNs in parameters and states, none in theta.
Test(meta_train, overflowing_parameters_are_contained) {
    flt_weights w = fake_weights(50.0, 0.1);
    flt_meta_report report;
    flt_meta_config c = config("nres", 0, NULL);
    c.unroll_min = c.unroll_max = 400;
    c.window = 50;
    cr_assert(eq(int, contained("noisy", c, &w, &report), FLTE_OK), "%s", flt_error());
    cr_assert(report.clipped > report.inner_steps / 2, "%zu clipped", (size_t)report.clipped);
    fake_weights_free(&w);
}

Test(meta_train, large_losses_are_clipped) {
    flt_weights w = fake_weights(0.0, 0.0); // x stays at 0, where the loss is 0.75 and the bound 0.5
    flt_meta_report report;
    flt_meta_config c = config("pes", 0, NULL);
    c.outer_lr = 0.0;
    c.sigma = 1e-6;
    c.log_loss = false;
    cr_assert(eq(int, contained("low", c, &w, &report), FLTE_OK), "%s", flt_error());
    cr_assert(eq(u64, report.clipped, report.inner_steps));
    // clip_loss / normaliser, through sums over 7 particles, 2 arms and 6 steps
    cr_assert(fabs(report.last_loss - 0.25) <= 30 * 2.3e-16 * 84, "%.17g", report.last_loss);
    fake_weights_free(&w);
}

// x stays at 0: a loss of 0.75, above a known minimum of 0.25.
Test(meta_train, known_minima_are_subtracted_under_the_logarithm) {
    flt_weights w = fake_weights(0.0, 0.0);
    flt_meta_report report;
    flt_meta_config c = config("pes", 0, NULL);
    c.outer_lr = 0.0;
    c.sigma = 1e-12;
    cr_assert(eq(int, contained("floor", c, &w, &report), FLTE_OK), "%s", flt_error());
    cr_assert(fabs(report.last_loss - log(1e-6 + 0.5 / 2.0)) <= 30 * 2.3e-16 * 84, "%.17g", report.last_loss);
    cr_assert(eq(int, contained("line", c, &w, &report), FLTE_OK), "%s", flt_error());
    cr_assert(fabs(report.last_loss - log(1e-6 + 0.75 / 2.0)) <= 30 * 2.3e-16 * 84, "without one: %.17g", report.last_loss);
    fake_weights_free(&w);
}

// A task without a bound on its loss: the gradient itself is not finite, so the update is skipped and counted.
Test(meta_train, gradients_that_are_not_finite_are_skipped) {
    flt_weights w = fake_weights(0.5, 0.1);
    flt_meta_report report;
    flt_meta_config c = config("pes", 0, NULL);
    c.unroll_min = c.unroll_max = 5; // each window of 6 steps meets a loss that is NaN
    cr_assert(eq(int, contained("unbounded", c, &w, &report), FLTE_OK), "%s", flt_error());
    cr_assert(eq(u64, report.skipped, c.outer_steps));
    cr_assert(eq(dbl, (double)w.theta[0], (double)(flt_real)0.5));
    fake_weights_free(&w);
}

// ---- refusals
typedef struct refusal {
    const char *label, *says;
    flt_err code;
    flt_meta_config c;
} refusal;

Test(meta_train, what_makes_no_sense_is_refused) {
    static const char *const absent = "absent";
    refusal r[] = {
        {.label = "no tasks", .says = "at least one", .code = FLTE_RANGE},
        {.label = "fewer particles than tasks", .says = "2 tasks", .code = FLTE_RANGE},
        {.label = "empty window", .says = "window", .code = FLTE_RANGE},
        {.label = "unroll of 0", .says = "0 to 30", .code = FLTE_RANGE},
        {.label = "unroll upside down", .says = "40 to 30", .code = FLTE_RANGE},
        {.label = "sigma 0", .says = "sigma is 0", .code = FLTE_RANGE},
        {.label = "sigma NaN", .says = "sigma", .code = FLTE_RANGE},
        {.label = "negative rate", .says = "rate is -1", .code = FLTE_RANGE},
        {.label = "negative clip", .says = "clip is -1", .code = FLTE_RANGE},
        {.label = "unknown estimator", .says = "did you mean 'nres'", .code = FLTE_NAME},
        {.label = "unknown task", .says = "absent", .code = FLTE_NAME},
        {.label = "resume from nothing", .says = "without a checkpoint", .code = FLTE_USAGE},
        {.label = "resume from a missing file", .says = "nowhere", .code = FLTE_IO},
    };
    const size_t n = sizeof r / sizeof *r;
    for (size_t i = 0; i < n; i++) r[i].c = config("pes", 2, two_tasks);
    r[0].c.n_tasks = 0, r[1].c.particles = 1, r[2].c.window = 0, r[3].c.unroll_min = 0, r[4].c.unroll_min = 40;
    r[5].c.sigma = 0, r[6].c.sigma = NAN, r[7].c.outer_lr = -1, r[8].c.clip = -1, r[9].c.estimator = "nress";
    r[10].c.tasks = &absent, r[10].c.n_tasks = 1, r[11].c.resume = true;
    r[12].c.resume = true, r[12].c.checkpoint = "/tmp/flt_test_nowhere.safetensors";
    flt_weights w = fake_weights(0.5, 0.1);
    const size_t blocks = flt_live_blocks();
    for (size_t i = 0; i < n; i++) {
        cr_assert(eq(int, flt_meta_train(&r[i].c, &w, NULL, NULL), r[i].code), "%s: %s", r[i].label, flt_error());
        cr_assert(ne(ptr, strstr(flt_error(), r[i].says), NULL), "%s: %s", r[i].label, flt_error());
    }
    cr_assert(eq(sz, flt_live_blocks(), blocks));
    fake_weights_free(&w);
}

Test(meta_train, optimizers_without_meta_parameters_are_refused) {
    const flt_meta_config c = config("pes", 2, two_tasks);
    flt_weights w = {.kind = &fake_kind};
    cr_assert(eq(int, flt_meta_train(&c, &w, NULL, NULL), FLTE_UNSUPPORTED));
    cr_assert(ne(ptr, strstr(flt_error(), "no meta-parameters"), NULL), "%s", flt_error());
}

Test(meta_train, a_failing_sink_ends_the_run) {
    memory *m = calloc(1, sizeof *m);
    const flt_sink sink = {.self = m, .metric = keep};
    const flt_meta_config c = config("pes", 2, two_tasks);
    flt_weights w = fake_weights(0.5, 0.1);
    m->fail_at = 4;
    cr_assert(eq(int, flt_meta_train(&c, &w, &sink, NULL), FLTE_DB));
    cr_assert(ne(ptr, strstr(flt_error(), "disk is full"), NULL), "%s", flt_error());
    fake_weights_free(&w);
    free(m);
}

// Every allocation fails once: an out-of-memory code, nothing left behind, theta as it was.
Test(meta_train, running_out_of_memory_is_an_error) {
    flt_meta_config c = config("pes", 2, two_tasks);
    c.outer_steps = 2;
    c.checkpoint = scratch("memory.safetensors");
    flt_weights w = fake_weights(0.5, 0.1);
    const size_t blocks = flt_live_blocks();
    flt_err err = FLTE_NOMEM;
    for (long n = 0; err != FLTE_OK; n++) {
        cr_assert(n < 1000, "never succeeded");
        w.theta[0] = (flt_real)0.5;
        flt_fail_alloc_after(n);
        err = flt_meta_train(&c, &w, NULL, NULL);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "request %ld: %s", n, flt_error());
        cr_assert(eq(sz, flt_live_blocks(), blocks), "request %ld", n);
    }
    unlink(c.checkpoint);
    fake_weights_free(&w);
}
