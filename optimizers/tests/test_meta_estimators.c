// SPDX-License-Identifier: MIT
// Estimators against the exact gradient on two systems of real optimizers and tasks: which are biased and which are not, and what
// the number of windows does to their variance. Seeds are fixed; intervals are those of the report.
#include "flt/estimators.h"
#include "flt/tasks.h"
#include "opt_support.h"

#include <criterion/new/assert.h>

typedef struct system_case {
    const char *optimizer, *set, *task;
    double sigma;
} system_case;

static const system_case systems[] = {
    {"mlp_lopt", "hidden=2,layers=1,step_mult=0.05", "quadratic:dimension=3,conditioning=5,noise=0.05", 0.003},
    {"lstm", "hidden=2,layers=1,scale=0.2", "noisy_linear_regression:dimension=3", 0.003},
};

static const size_t windows[] = {2, 8}, particles[] = {24};

static flt_estimators_config config(const char *const *task, double sigma) {
    flt_estimators_config c = {.n_windows = 2, .windows = windows, .n_particles = 1, .particles = particles, .repetitions = 40};
    flt_meta_defaults(&c.meta);
    c.meta.n_tasks = 1;
    c.meta.tasks = task;
    c.meta.make = flt_task_create;
    c.meta.unroll_max = 16;
    c.meta.sigma = sigma;
    c.meta.log_loss = false;
    c.meta.threads = 1;
    c.meta.seed = 11;
    return c;
}

static const flt_estimator_row *row_of(const flt_estimator_row *rows, size_t n, const char *name, size_t w) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].estimator, name) == 0 && rows[i].windows == w) return &rows[i];
    cr_assert(false, "no row of %s with %zu windows", name, w);
    return NULL;
}

static flt_estimator_row *compare(const flt_estimators_config *c, flt_weights *w, size_t *n) {
    flt_estimator_row *rows = NULL;
    OPT_OK(flt_estimators_compare(c, w, NULL, n, &rows));
    return rows;
}

static void check_unbiased(const system_case *s, const flt_estimator_row *r) {
    cr_assert(not(r->biased), "%s on %s, %zu windows of %s: bias %g in [%g, %g], off %g in [%g, %g]", r->estimator, s->task,
              r->windows, s->optimizer, r->bias.value, r->bias.low, r->bias.high, r->off.value, r->off.low, r->off.high);
    cr_assert(r->bias.high - r->bias.low < 0.4, "%s: the interval [%g, %g] says little", r->estimator, r->bias.low, r->bias.high);
    cr_assert(gt(dbl, r->cosine.value, 0.85), "%s", r->estimator);
}

static void check_biased(const system_case *s, const flt_estimator_row *r, double at_most) {
    cr_assert(r->biased && r->bias.high < at_most, "%s on %s, %zu windows of %s: bias %g in [%g, %g]", r->estimator, s->task,
              r->windows, s->optimizer, r->bias.value, r->bias.low, r->bias.high);
}

Test(meta_estimators, truncation_alone_is_biased) {
    for (size_t k = 0; k < sizeof systems / sizeof *systems; k++) {
        const system_case *s = &systems[k];
        flt_weights w = opt_weights(s->optimizer, s->set);
        const flt_estimators_config c = config(&s->task, s->sigma);
        size_t n = 0;
        flt_estimator_row *rows = compare(&c, &w, &n);
        cr_assert(eq(int, strcmp(rows[0].estimator, "full_bptt"), 0));
        check_unbiased(s, row_of(rows, n, "full_es", 1));
        for (size_t i = 0; i < 2; i++) {
            check_unbiased(s, row_of(rows, n, "nres", windows[i]));
            check_unbiased(s, row_of(rows, n, "pes", windows[i]));
            check_biased(s, row_of(rows, n, "truncated_es", windows[i]), i == 0 ? -0.3 : -0.8);
            check_biased(s, row_of(rows, n, "tbptt", windows[i]), i == 0 ? -0.3 : -0.8);
        }
        flt_free(rows);
        flt_weights_free(&w);
    }
}

// ---- variance. A rate that falls within the first steps: all later losses depend on what the first window did, and on nothing
// else. PES multiplies them by the sum of all perturbations so far, of which one matters.

Test(meta_estimators, variance_of_pes_grows_with_windows_and_that_of_nres_does_not) {
    static const size_t cuts[] = {1, 4, 16};
    static const system_case s = {"flt", "memory=none,layers=0,lr=0.3,lr_time=true,t_ref=2",
                                  "quadratic:dimension=3,conditioning=5,noise=0.05", 0.003};
    flt_weights w = opt_weights(s.optimizer, s.set);
    flt_estimators_config c = config(&s.task, s.sigma);
    size_t n = 0;
    w.theta[w.layout.total - 1] = -6; // log_lr[1]
    c.windows = cuts;
    c.n_windows = 3;
    flt_estimator_row *rows = compare(&c, &w, &n);
    const flt_interval es = row_of(rows, n, "full_es", 1)->variance;
    for (size_t i = 0; i < 3; i++) {
        const flt_interval nres = row_of(rows, n, "nres", cuts[i])->variance;
        cr_assert(fabs(nres.value - es.value) <= 1e-3 * es.value, "%zu windows: %g, whole %g", cuts[i], nres.value, es.value);
    }
    const flt_interval few = row_of(rows, n, "pes", 4)->variance, many = row_of(rows, n, "pes", 16)->variance;
    cr_assert(few.low > es.high && many.low > few.high, "pes: [%g, %g], then [%g, %g]; whole [%g, %g]", few.low, few.high,
              many.low, many.high, es.low, es.high);
    cr_assert(many.low > 4 * es.value, "pes: %g, whole %g", many.low, es.value);
    flt_free(rows);
    flt_weights_free(&w);
}

// ---- what is stored, and what is refused

static flt_err count(void *self, const char *name, uint64_t step, double value) {
    size_t *n = self;
    (void)value;
    if (strcmp(name, "pes/p2/variance") == 0) n[0] += step;
    if (strcmp(name, "tbptt/p2/bias/low") == 0) n[1] += step;
    return FLTE_OK;
}

// Of full_bptt one; of others one where a window is an episode, else one for each number of windows.
static size_t rows_wanted(size_t windows_tried) {
    const flt_registry *all = flt_estimator_registry();
    size_t n = 0;
    for (size_t i = 0; all->kinds[i] != NULL; i++)
        n += ((const flt_estimator_kind *)all->kinds[i])->whole_episodes ? 1 : windows_tried;
    return n;
}

static bool same_rows(const flt_estimator_row *a, const flt_estimator_row *b, size_t n) {
    bool same = true;
    for (size_t i = 0; i < n; i++)
        same = same && memcmp(&a[i].bias, &b[i].bias, sizeof a->bias) == 0 &&
               memcmp(&a[i].variance, &b[i].variance, sizeof a->variance) == 0 && a[i].norm == b[i].norm;
    return same;
}

Test(meta_estimators, rows_are_stored_and_do_not_depend_on_threads) {
    static const size_t two[] = {2};
    flt_weights w = opt_weights(systems[1].optimizer, systems[1].set);
    flt_estimators_config c = config(&systems[1].task, 0.01);
    size_t seen[2] = {0}, n = 0, m = 0;
    const flt_sink sink = {.self = seen, .metric = count};
    flt_estimator_row *one = NULL, *more = NULL;
    c.particles = two;
    c.repetitions = 4;
    OPT_OK(flt_estimators_compare(&c, &w, &sink, &n, &one));
    c.meta.threads = 2;
    OPT_OK(flt_estimators_compare(&c, &w, NULL, &m, &more));
    cr_assert(eq(sz, n, rows_wanted(2)));
    cr_assert(eq(sz, m, n));
    cr_assert(same_rows(one, more, n));
    cr_assert(eq(sz, seen[0], 10)); // steps: 2 and 8 windows
    cr_assert(eq(sz, seen[1], 10));
    flt_free(one);
    flt_free(more);
    flt_weights_free(&w);
}

static void refused(const flt_estimators_config *c, const char *optimizer, flt_err want, const char *words) {
    flt_weights w = opt_weights(optimizer, "");
    flt_estimator_row *rows = NULL;
    size_t n = 0;
    cr_assert(eq(int, flt_estimators_compare(c, &w, NULL, &n, &rows), want), "%s: %s", words, flt_error());
    cr_assert(strstr(flt_error(), words) != NULL, "%s: %s", words, flt_error());
    cr_assert(rows == NULL);
    flt_weights_free(&w);
}

Test(meta_estimators, what_cannot_be_is_refused) {
    static const size_t seven[] = {7, 3}, none[] = {0};
    flt_estimators_config c = config(&systems[0].task, 0.01);
    refused(&c, "adam", FLTE_UNSUPPORTED, "no meta-parameters");
    refused(&c, "flt_tensor", FLTE_UNSUPPORTED, "not written as a graph");
    c.repetitions = 2;
    refused(&c, "lstm", FLTE_RANGE, "2 repetitions");
    c.repetitions = 3;
    c.windows = seven; // 21 steps are needed, 16 are there
    refused(&c, "lstm", FLTE_RANGE, "21 steps can");
    c.windows = none;
    c.n_windows = 1;
    refused(&c, "lstm", FLTE_RANGE, "0 windows");
    c.windows = windows;
    c.particles = none;
    refused(&c, "lstm", FLTE_RANGE, "0 particles");
}
