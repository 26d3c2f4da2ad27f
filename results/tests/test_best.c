// SPDX-License-Identifier: MIT
// The leaderboard of `flt results best`: which way is better, and what a seed that is not finite counts for.
#include <math.h>

#include "flt/results_ask.h"
#include "one_run.h"

TestSuite(best, .init = begin, .fini = end);

// Four seeds on a task, each value as one field.
static void record(const char *optimizer, const char *task, const char *field, const double *values) {
    for (int seed = 0; seed < 4; seed++) {
        const flt_field fields[] = {flt_text_field("optimizer", optimizer), flt_text_field("task", task),
                                    flt_num_field("steps", 500), flt_num_field("seed", seed), flt_num_field(field, values[seed])};
        cr_assert(flt_sink_record(sink, "evaluation", 5, fields) == FLTE_OK, "%s", flt_error());
    }
}

static bool is_error(const char *task) {
    return strcmp(task, "bytes") == 0;
}

// "optimizer iqm not_finite" of each row, one a line.
static bool pick(void *user, size_t n, const char *const *names, const char *const *values) {
    char *out = user;
    for (size_t i = 0; i < n; i++) {
        const bool shown = strcmp(names[i], "optimizer") == 0 || strcmp(names[i], "iqm") == 0;
        if (shown) snprintf(out + strlen(out), 512 - strlen(out), "%s ", values[i] == NULL ? "-" : values[i]);
        if (strcmp(names[i], "not_finite") == 0) snprintf(out + strlen(out), 512 - strlen(out), "%s\n", values[i]);
    }
    return true;
}

static void expect(const char *task, const char *metric, const char *want) {
    char got[512] = "";
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_best(s, task, metric, is_error, pick, got) == FLTE_OK, "%s", flt_error());
    cr_assert_str_eq(got, want, "%s of %s:\n%s", metric, task, got);
}

// As in the view: one of four is cut off with the worst quarter, two of four leave no mean to rank by.
Test(best, a_seed_that_is_not_finite_is_the_worst) {
    record("steady", "digits", "final_loss", (double[]){2, 2, 2, 2});
    record("lucky", "digits", "final_loss", (double[]){1, INFINITY, 1, NAN});
    record("mostly", "digits", "final_loss", (double[]){1.5, 1.5, NAN, 1.5});
    expect("digits", NULL, "mostly 1.5 1\nsteady 2 0\nlucky - 2\n");
    expect("digits", "test_metric", ""); // none has it
    record("steady", "glyphs", "test_metric", (double[]){0.5, 0.5, 0.5, 0.5});
    record("lucky", "glyphs", "test_metric", (double[]){0.9, 0.9, NAN, NAN});
    expect("glyphs", "test_metric", "steady 0.5 0\nlucky - 2\n");
}

Test(best, more_is_better_or_less) {
    for (int i = 0; i < 2; i++) {
        const char *task = i == 0 ? "bytes" : "digits";
        record("one", task, "test_metric", (double[]){1, 1, 1, 1});
        record("three", task, "test_metric", (double[]){3, 3, 3, 3});
    }
    expect("bytes", "test_metric", "one 1 0\nthree 3 0\n");
    expect("digits", "test_metric", "three 3 0\none 1 0\n");
    record("slow", "digits", "speedup", (double[]){0.5, 0.5, 0.5, 0.5});
    record("fast", "digits", "speedup", (double[]){2, 2, 2, 2});
    expect("digits", "speedup", "fast 2 0\nslow 0.5 0\n");
}
