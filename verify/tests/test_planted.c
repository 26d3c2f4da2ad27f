// SPDX-License-Identifier: MIT
// Every bug of flt/plant.h is caught by the check that is meant for it, and that check passes where nothing is planted. The table
// of bugs and checks is printed.
#include "flt/plant.h"
#include "flt/verify.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

typedef struct bug {
    const char *name, *what, *mechanism, *check;
} bug;

#define ROW(name, what, mechanism, check) {#name, what, mechanism, check},
static const bug bugs[FLTX_N_BUGS] = {{"NONE", "nothing", "", ""}, FLTX_BUGS(ROW)};
#undef ROW

enum { LEAST_BUGS = 25 };

typedef struct failure {
    char label[160]; // of the first case that failed
} failure;

// The first failure is all that is wanted: it ends the run.
static flt_err note(void *self, const char *kind, size_t n, const flt_field *fields) {
    failure *f = self;
    const char *label = "", *verdict = "";
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, "label") == 0) label = fields[i].text;
        if (strcmp(fields[i].name, "verdict") == 0) verdict = fields[i].text;
    }
    if (strcmp(kind, "check") != 0 || strcmp(verdict, "fail") != 0) return FLTE_OK;
    snprintf(f->label, sizeof f->label, "%s", label);
    return flt_fail(FLTE_CHECK, "planted", "seen");
}

static flt_err run_check(const bug *b, flt_verify_report *report, failure *f) {
    const flt_sink sink = {.self = f, .record = note};
    const flt_verify_config config = {
        .n_mechanisms = b->mechanism[0] != '\0', .mechanisms = &b->mechanism, .n_checks = 1, .checks = &b->check, .threads = 1};
    *f = (failure){""};
    return flt_verify_run(&config, &sink, report);
}

static bool same_run(const bug *a, const bug *b) {
    return strcmp(a->mechanism, b->mechanism) == 0 && strcmp(a->check, b->check) == 0;
}

Test(planted, checks_pass_without_a_bug) {
    flt_planted = FLTX_BUG_NONE;
    for (int b = 1; b < FLTX_N_BUGS; b++) {
        flt_verify_report report;
        failure f;
        int first = 1;
        while (!same_run(&bugs[first], &bugs[b])) first++;
        if (first < b) continue; // seen
        const flt_err err = run_check(&bugs[b], &report, &f);
        cr_assert(err == FLTE_OK && report.passed > 0, "%s of %s: %s: %s", bugs[b].check, bugs[b].mechanism, flt_error(),
                  f.label);
    }
}

Test(planted, each_bug_is_caught_by_its_check) {
    fprintf(stderr, "%-21s %-10s %-13s %s; %s\n", "planted bug", "mechanism", "caught by", "what is wrong",
            "first case that fails");
    for (int b = 1; b < FLTX_N_BUGS; b++) {
        flt_verify_report report;
        failure f;
        flt_planted = (flt_bug)b;
        const flt_err err = run_check(&bugs[b], &report, &f);
        fprintf(stderr, "%-21s %-10s %-13s %s; %s\n", bugs[b].name, bugs[b].mechanism[0] == '\0' ? "-" : bugs[b].mechanism,
                bugs[b].check, bugs[b].what, f.label);
        cr_expect(err == FLTE_CHECK && report.failed > 0, "%s (%s) was not caught by '%s'", bugs[b].name, bugs[b].what,
                  bugs[b].check);
    }
}

// Every mechanism, and every check that judges one, has a bug of its own.
Test(planted, no_mechanism_and_no_check_goes_without) {
    static const char *const recorders[] = {"ladder"}; // measures; claims no more than finite numbers
    const flt_registry *const registries[] = {flt_attention_registry(), flt_check_registry()};
    cr_assert(FLTX_N_BUGS - 1 >= LEAST_BUGS);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; registries[i]->kinds[k] != NULL; k++) {
            const char *name = registries[i]->kinds[k]->name;
            bool found = strcmp(name, recorders[0]) == 0;
            for (int b = 1; b < FLTX_N_BUGS; b++) found |= strcmp(i == 0 ? bugs[b].mechanism : bugs[b].check, name) == 0;
            cr_expect(found, "nothing is planted for '%s'", name);
        }
}
