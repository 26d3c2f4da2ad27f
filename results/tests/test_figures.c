// SPDX-License-Identifier: MIT
// The data of figures against what was recorded: bands over seeds, long curves, profiles, the recipes of a fidelity table.
#include <math.h>

#include "flt/results_ask.h"
#include "one_run.h"

TestSuite(figures, .init = begin, .fini = end);

#define NUM(name, x)  flt_num_field(name, x)
#define TEXT(name, x) flt_text_field(name, x)
#define RECORD(kind, ...)                                                                                                        \
    cr_assert(flt_sink_record(sink, kind, sizeof((flt_field[]){__VA_ARGS__}) / sizeof(flt_field), (flt_field[]){__VA_ARGS__}) == \
                  FLTE_OK,                                                                                                       \
              "%s", flt_error())

static flt_figure *figure(const char *name, const char *metric) {
    flt_figure *f = NULL;
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_figure_create(s, name, 0, metric, &f) == FLTE_OK, "%s: %s", name, flt_error());
    return f;
}

Test(figures, curves_band_the_seeds_and_leave_their_mean_out) {
    for (int step = 1; step <= 5; step++) {
        for (int seed = 0; seed < 3; seed++)
            RECORD("curve", TEXT("metric", "loss/adam"), NUM("seed", seed), NUM("step", step), NUM("value", step + 10.0 * seed));
        cr_assert(flt_sink_metric(sink, "loss/adam", (uint64_t)step, 1e6) == FLTE_OK, "%s", flt_error());
        cr_assert(flt_sink_metric(sink, "loss/sgd", (uint64_t)step, step == 3 ? NAN : 7.0) == FLTE_OK, "%s", flt_error());
    }
    flt_figure *f = figure("curves", NULL);
    cr_assert(f->n_series == 2 && f->series[0].n == 5 && f->series[1].n == 4, "%zu series", f->n_series);
    const flt_figure_point *p = &f->series[0].points[2];
    cr_assert(p->x == 3 && p->y == 13 && p->low == 3 && p->high == 23, "%g: %g in %g to %g", p->x, p->y, p->low, p->high);
    flt_figure_destroy(f);
}

Test(figures, long_curves_are_looked_up_on_a_grid) {
    for (uint64_t step = 0; step < 9000; step++)
        cr_assert(flt_sink_metric(sink, "loss", 5 * step, (double)step) == FLTE_OK, "%s", flt_error());
    flt_figure *f = figure("curves", NULL);
    cr_assert(f->n_series == 1 && f->series[0].n == 400, "%zu series", f->n_series);
    for (size_t i = 0; i < 400; i++)
        cr_assert(f->series[0].points[i].y * 5 == f->series[0].points[i].x, "point %zu is of its step", i);
    cr_assert(f->series[0].points[0].x == 0 && f->series[0].points[399].x == 5 * 8999, "both ends are there");
    flt_figure_destroy(f);
}

// Three problems. adam: 100, 200, never. sgd: 200, 100, 50. Ratios of adam 1 and 2; of sgd 2, 1 and 1.
Test(figures, profiles_count_problems_within_a_factor) {
    const double adam[] = {100, 200, INFINITY}, sgd[] = {200, 100, 50};
    for (int seed = 0; seed < 3; seed++)
        for (int k = 0; k < 2; k++)
            RECORD("evaluation", TEXT("optimizer", k == 0 ? "adam" : "sgd"), TEXT("task", "t"), NUM("seed", seed),
                   NUM("steps", 500), TEXT("baseline", "adam"), NUM("steps_to_baseline", k == 0 ? adam[seed] : sgd[seed]));
    flt_figure *f = figure("profile", NULL);
    cr_assert(f->n_series == 2, "%zu series", f->n_series);
    const double at_one[] = {1.0 / 3, 2.0 / 3}, at_end[] = {2.0 / 3, 1.0};
    for (size_t i = 0; i < 2; i++) {
        const flt_figure_series *x = &f->series[i];
        double one = 0;
        for (size_t k = 0; k < x->n; k++)
            if (x->points[k].x == 1) one = fmax(one, x->points[k].y);
        cr_assert(fabs(one - at_one[i]) < 1e-12, "%s solves %g first", x->name, one);
        cr_assert(fabs(x->points[x->n - 1].y - at_end[i]) < 1e-12, "%s solves %g at last", x->name, x->points[x->n - 1].y);
        for (size_t k = 1; k < x->n; k++) cr_assert(x->points[k].y >= x->points[k - 1].y, "%s falls", x->name);
    }
    flt_figure_destroy(f);
}

// Of a set: its tasks alone.
Test(figures, profiles_of_a_set) {
    for (int task = 0; task < 4; task++)
        for (int k = 0; k < 2; k++)
            RECORD("evaluation", TEXT("optimizer", k == 0 ? "adam" : "sgd"), TEXT("task", task % 2 == 0 ? "t" : "u"),
                   TEXT("suite", task < 2 ? "near" : "far"), NUM("seed", task), NUM("steps", 500), TEXT("baseline", "adam"),
                   NUM("steps_to_baseline", (k == 0) == (task < 2) ? 10 : 50));
    flt_figure *f = figure("profile", "@near");
    cr_assert(f->n_series == 2, "%zu series", f->n_series);
    for (size_t i = 0; i < 2; i++) {
        double one = 0;
        for (size_t k = 0; k < f->series[i].n; k++)
            if (f->series[i].points[k].x == 1) one = fmax(one, f->series[i].points[k].y);
        cr_assert(one == (strcmp(f->series[i].name, "adam") == 0 ? 1.0 : 0.0), "%s solves %g first", f->series[i].name, one);
    }
    flt_figure_destroy(f);
}

Test(figures, time_names_slope_and_crossover) {
    for (int n = 64; n <= 512; n *= 2)
        RECORD("ladder", TEXT("mechanism", "flt"), TEXT("encoding", "none"), NUM("n", n), NUM("m", 16), NUM("causal", 0),
               NUM("error_total", 0.5), NUM("seconds", 2e-4 * n), NUM("seconds_exact", 1e-6 * n * n));
    flt_figure *f = figure("time", NULL);
    cr_assert(f->n_series == 2 && strcmp(f->series[0].name, "exact") == 0, "%zu series", f->n_series);
    cr_assert(strcmp(f->series[0].remark, "slope 2.00") == 0, "%s", f->series[0].remark);
    cr_assert(strcmp(f->series[1].remark, "slope 1.00, faster from N=256") == 0, "%s", f->series[1].remark);
    flt_figure_destroy(f);
}

Test(figures, fidelity_draws_the_two_nearest_recipes_of_each_mechanism) {
    static const char *const recipes[] = {"a=1,sd=0.5", "a=2,sd=0.5", "a=3,sd=0.5", "sd=0.5", "a=3,sd=1"};
    static const double errors[] = {0.3, 0.1, 0.2, 0.4, 0.01}; // the last is of another scale of the inputs
    for (int mechanism = 0; mechanism < 2; mechanism++)
        for (size_t i = 0; i < 5; i++)
            for (int m = 16; m <= 32; m *= 2)
                for (int n = 64; n <= 128; n *= 2)
                    RECORD("ladder", TEXT("mechanism", mechanism == 0 ? "flt" : "performer"), TEXT("encoding", "gaussian"),
                           TEXT("options", recipes[i]), NUM("n", n), NUM("m", m), NUM("causal", 0), NUM("seed", 1),
                           NUM("error_total", errors[i] * 16 / m), NUM("seconds", 1e-6 * m * n), TEXT("detail", "fidelity"));
    flt_figure *f = figure("fidelity", NULL);
    static const char *const names[] = {"flt a=2 on gaussian n=128", "flt a=3 on gaussian n=128",
                                        "performer a=2 on gaussian n=128", "performer a=3 on gaussian n=128"};
    cr_assert(f->n_series == 4, "%zu series", f->n_series);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(strcmp(f->series[i].name, names[i]) == 0, "%s", f->series[i].name);
        cr_assert(f->series[i].n == 2 && f->series[i].points[1].y == errors[1 + i % 2] / 2, "%s", f->series[i].name);
    }
    flt_figure_destroy(f);
    f = figure("error-m", NULL); // of the ladder alone
    cr_assert(f->n_series == 0, "%zu series of the ladder", f->n_series);
    flt_figure_destroy(f);
    f = figure("fidelity", "laplace");
    cr_assert(f->n_series == 0, "%zu series on another encoding", f->n_series);
    flt_figure_destroy(f);
}
