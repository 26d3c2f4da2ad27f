// SPDX-License-Identifier: MIT
// Optimizers over the tasks of a set: means by hand, what is counted, which rows count, the order.
#include <math.h>

#include "flt/results_ask.h"
#include "one_run.h"

TestSuite(speedups, .init = begin, .fini = end);

typedef struct outcome {
    const char *optimizer, *options, *suite, *task;
    int seed, tuned;
    double speedup, best, ratio, steps_to;
    int diverged;
} outcome;

static void record(outcome o) {
    const flt_field fields[] = {flt_text_field("optimizer", o.optimizer),
                                flt_text_field("options", o.options),
                                flt_text_field("suite", o.suite),
                                flt_text_field("task", o.task),
                                flt_num_field("steps", 500),
                                flt_num_field("seed", o.seed),
                                flt_num_field("tuned", o.tuned),
                                flt_num_field("speedup", o.speedup),
                                flt_num_field("speedup_best", o.best),
                                flt_num_field("loss_ratio", o.ratio),
                                flt_num_field("steps_to_baseline", o.steps_to),
                                flt_num_field("diverged", o.diverged)};
    cr_assert(flt_sink_record(flt_store_sink(s), "evaluation", sizeof fields / sizeof *fields, fields) == FLTE_OK, "%s",
              flt_error());
}

static const char *ranked(long long run, const char *set, const char *metric) {
    static answer a;
    a = (answer){0};
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_speedups(s, run, set, metric, collect, &a) == FLTE_OK, "%s", flt_error());
    return a.text;
}

// The n-th cell of the row that begins with `start`.
static const char *cell(const char *text, const char *start, int n) {
    static char out[64];
    const char *at = strstr(text, start);
    cr_assert(at != NULL, "no row '%s' in %s", start, text);
    for (int i = 0; i < n; i++) at = strchr(at, '|') + 1;
    snprintf(out, sizeof out, "%.*s", (int)strcspn(at, "|\n"), at);
    return out;
}

static void is(const char *text, const char *start, int n, const char *want) {
    cr_assert(strcmp(cell(text, start, n), want) == 0, "%s, cell %d: %s, not %s, in\n%s", start, n, cell(text, start, n), want,
              text);
}

enum { SPEEDUP = 2, LOW, HIGH, REACHED, AT_1_5, AT_2, DIVERGED, RATIO, BEST, BEST_LOW, BEST_HIGH, TASKS, RUNS };

// Eight runs on two tasks, one diverged: the mean of the middle four of 0, 0.5, 1, 2, 2, 3, 4, 9.
Test(speedups, the_mean_is_of_the_middle_half_over_tasks_and_seeds) {
    static const double a[] = {2, 0.5, 4, 0}, b[] = {9, 1, 2, 3};
    for (int i = 0; i < 4; i++) {
        record((outcome){"flt", NULL, "train", "a", i, 0, a[i], a[i] / 2, 1 / (a[i] + 1), a[i] >= 1 ? 9 : INFINITY, a[i] == 0});
        record((outcome){"flt", NULL, "train", "b", i, 0, b[i], b[i] / 2, 1 / (b[i] + 1), 9, 0});
    }
    const char *text = ranked(1, NULL, NULL);
    is(text, "@train|flt", SPEEDUP, "2");
    is(text, "@train|flt", BEST, "1");
    is(text, "@train|flt", RATIO, "0.3542"); // of 1/5, 1/4, 1/3, 1/3, 1/2, 2/3 the middle four of eight
    is(text, "@train|flt", REACHED, "0.75");
    is(text, "@train|flt", AT_1_5, "0.625");
    is(text, "@train|flt", AT_2, "0.625");
    is(text, "@train|flt", DIVERGED, "0.125");
    is(text, "@train|flt", TASKS, "2");
    is(text, "@train|flt", RUNS, "8");
    cr_assert(strstr(text, "all|") == NULL, "one set is all there is: %s", text);
    const double low = strtod(cell(text, "@train|flt", LOW), NULL), high = strtod(cell(text, "@train|flt", HIGH), NULL);
    cr_assert(low > 0.25 && low < 2 && high > 2 && high < 7, "%g to %g", low, high);
}

// Tasks that differ widely, seeds that do not: the interval is about seeds.
Test(speedups, the_interval_is_stratified_by_task) {
    for (int i = 0; i < 5; i++)
        for (int task = 0; task < 4; task++)
            record((outcome){"flt", NULL, "near", (const char *[]){"a", "b", "c", "d"}[task], i, 0, 1 << task, NAN, 1, 9, 0});
    const char *text = ranked(1, NULL, NULL);
    is(text, "@near|flt", SPEEDUP, "3");
    is(text, "@near|flt", LOW, "3");
    is(text, "@near|flt", HIGH, "3");
    is(text, "@near|flt", BEST, "NULL");
}

Test(speedups, sets_are_told_apart_and_together) {
    record((outcome){"flt", NULL, "train", "a", 0, 0, 2, 1, 1, 9, 0});
    record((outcome){"flt", NULL, "near", "b", 0, 0, 4, 1, 1, 9, 0});
    record((outcome){"flt", NULL, NULL, "c", 0, 0, 6, 1, 1, 9, 0});
    const char *text = ranked(1, NULL, NULL);
    is(text, "@train|flt", SPEEDUP, "2");
    is(text, "@near|flt", SPEEDUP, "4");
    is(text, "tasks|flt", SPEEDUP, "6");
    is(text, "all|flt", SPEEDUP, "4");
    is(text, "all|flt", LOW, "NULL"); // one seed of each
    text = ranked(1, "near", NULL);
    cr_assert(strncmp(text, "@near|flt|4|", 12) == 0 && strchr(text, '\n')[1] == '\0', "%s", text);
}

// The settings that won differ from task to task; settings that were given make another optimizer.
Test(speedups, tuned_settings_are_one_optimizer) {
    record((outcome){"adam-full", "beta2=0.99", "train", "a", 0, 2, 1, 1, 1, 9, 0});
    record((outcome){"adam-full", "warmup=25", "train", "b", 0, 2, 3, 1, 1, 9, 0});
    record((outcome){"adam", "beta1=0.5", "train", "a", 0, 1, 1, 1, 1, 9, 0});
    record((outcome){"adam", NULL, "train", "a", 0, 1, 2, 1, 1, 9, 0});
    const char *text = ranked(1, NULL, NULL);
    is(text, "@train|adam-full", RUNS, "2");
    is(text, "@train|adam|2", RUNS, "1");
    is(text, "@train|adam|1", RUNS, "1");
}

Test(speedups, the_latest_value_of_a_seed_counts) {
    for (int i = 0; i < 3; i++) record((outcome){"flt", NULL, "train", "a", i, 0, 1, 1, 1, 9, 0});
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    new_run(s);
    for (int i = 1; i < 4; i++) record((outcome){"flt", NULL, "train", "a", i, 0, 5, 1, 1, 9, 0});
    is(ranked(1, NULL, NULL), "@train|flt", SPEEDUP, "1");
    is(ranked(0, NULL, NULL), "@train|flt", RUNS, "4");
    is(ranked(0, NULL, NULL), "@train|flt", SPEEDUP, "5"); // of 1, 5, 5, 5
}

Test(speedups, the_best_come_first) {
    static const char *const names[] = {"slow", "fast", "middle", "none"};
    static const double speeds[] = {1, 3, 2, NAN}, best[] = {3, 1, 2, NAN}, ratios[] = {0.5, 0.2, 0.1, NAN};
    for (int i = 0; i < 4; i++)
        for (int seed = 0; seed < 2; seed++)
            record((outcome){names[i], NULL, "train", "a", seed, 0, speeds[i], best[i], ratios[i], 9, 0});
    static const struct {
        const char *metric, *order[4];
    } cases[] = {{NULL, {"fast", "middle", "slow", "none"}},
                 {"speedup_best", {"slow", "middle", "fast", "none"}},
                 {"loss_ratio", {"middle", "fast", "slow", "none"}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = ranked(0, "train", cases[i].metric);
        for (int k = 0; k < 3; k++)
            cr_assert(strstr(text, cases[i].order[k]) < strstr(text, cases[i].order[k + 1]), "%s: %s", cases[i].metric, text);
    }
    cr_assert(flt_store_speedups(s, 0, NULL, "final_loss", collect, &(answer){0}) == FLTE_NAME, "another metric");
}

// What was stored before there were speed-ups, or without a set, is no row here.
Test(speedups, rows_without_a_speed_are_left_out) {
    const flt_field fields[] = {flt_text_field("optimizer", "flt"), flt_text_field("task", "a"), flt_num_field("seed", 1)};
    cr_assert(flt_sink_record(flt_store_sink(s), "evaluation", 3, fields) == FLTE_OK, "%s", flt_error());
    cr_assert(strcmp(ranked(0, NULL, NULL), "") == 0, "%s", ranked(0, NULL, NULL));
}
