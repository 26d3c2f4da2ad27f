// SPDX-License-Identifier: MIT
// Every bug of flt/plant.h is caught by the check that is meant for it, and nothing is caught where nothing is planted.
#include "flt/plant.h"
#include "flt/verify.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

typedef struct bug {
    const char *name, *what, *check;
} bug;

#define ROW(name, what, check) {#name, what, check},
static const bug bugs[FLTX_N_BUGS] = {{"NONE", "nothing", "all"}, FLTX_BUGS(ROW)};
#undef ROW

// The bugs sit in what these mechanisms run; the others would only take time.
static flt_err run_check(const char *const *check, size_t n, flt_verify_report *report) {
    static const char *const mechanisms[] = {"exact", "performer", "flt"};
    const flt_verify_config config = {.n_mechanisms = sizeof mechanisms / sizeof *mechanisms,
                                      .mechanisms = mechanisms,
                                      .n_checks = n,
                                      .checks = check,
                                      .threads = 1};
    return flt_verify_run(&config, NULL, report);
}

Test(planted, nothing_fails_without_a_bug) {
    static const char *const checks[] = {"oracle",      "causality", "fourier",  "encoding",  "translation",
                                         "permutation", "linearity", "batching", "streaming", "gradient"};
    flt_verify_report report;
    flt_planted = FLTX_BUG_NONE;
    const flt_err err = run_check(checks, sizeof checks / sizeof *checks, &report);
    cr_assert(err == FLTE_OK, "%s", flt_error());
    cr_assert(report.passed > 100, "only %zu cases ran", report.passed);
}

Test(planted, each_bug_is_caught_by_its_check) {
    fprintf(stderr, "%-18s %-12s %-7s %s\n", "planted bug", "caught by", "failed", "what is wrong");
    for (int b = 1; b < FLTX_N_BUGS; b++) {
        flt_verify_report report;
        flt_planted = (flt_bug)b;
        const flt_err err = run_check(&bugs[b].check, 1, &report);
        fprintf(stderr, "%-18s %-12s %-7zu %s\n", bugs[b].name, bugs[b].check, report.failed, bugs[b].what);
        cr_assert(err == FLTE_CHECK && report.failed > 0, "%s (%s) was not caught by '%s'", bugs[b].name, bugs[b].what,
                  bugs[b].check);
    }
}
