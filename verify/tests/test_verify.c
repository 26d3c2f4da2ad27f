// SPDX-License-Identifier: MIT
// The verification itself: judging, selection, records, refusals.
#include "../engine/problem.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

typedef struct counts {
    size_t checks, ladder, failed;
    bool fields_ok;
} counts;

static flt_err count(void *self, const char *kind, size_t n, const flt_field *fields) {
    counts *c = self;
    if (strcmp(kind, "check") == 0) c->checks++;
    if (strcmp(kind, "ladder") == 0) c->ladder++;
    for (size_t i = 0; i < n; i++)
        c->fields_ok = c->fields_ok && fields[i].name != NULL && (!fields[i].is_text || fields[i].text != NULL);
    return FLTE_OK;
}

Test(verify, judges_by_two_thresholds_and_fails_nan) {
    cr_assert(flt_judge(30.0) == FLTX_PASS);
    cr_assert(flt_judge(30.1) == FLTX_MARGINAL);
    cr_assert(flt_judge(300.0) == FLTX_MARGINAL);
    cr_assert(flt_judge(300.1) == FLTX_FAIL);
    cr_assert(flt_judge(NAN) == FLTX_FAIL);
    cr_assert(flt_judge(INFINITY) == FLTX_FAIL);
}

Test(verify, ratio_is_in_units_of_eps) {
    const flt_real got[2] = {1, 1 + (flt_real)(4 * FLTX_EPS)};
    const long double want[2] = {1.0L, 1.0L};
    const double ratio = flt_ratio(2, got, want, 2.0, 1.0);
    cr_assert(fabs(ratio - 2.0) < 1e-3, "ratio %g", ratio);
}

Test(verify, ladder_of_one_cell_is_recorded_per_seed) {
    static const char *const checks[] = {"ladder"}, *const mechanisms[] = {"flt"};
    const size_t n[] = {32}, m[] = {16}, r[] = {8};
    counts c = {.fields_ok = true};
    const flt_sink sink = {.self = &c, .record = count};
    const flt_verify_config config = {.n_checks = 1,
                                      .checks = checks,
                                      .n_mechanisms = 1,
                                      .mechanisms = mechanisms,
                                      .n_n = 1,
                                      .n = n,
                                      .n_m = 1,
                                      .m = m,
                                      .n_r = 1,
                                      .r = r,
                                      .seeds = 2,
                                      .threads = 1};
    flt_verify_report report;
    cr_assert(flt_verify_run(&config, &sink, &report) == FLTE_OK, "%s", flt_error());
    cr_assert(c.ladder == 2, "%zu rows", c.ladder);
    cr_assert(c.fields_ok);
}

Test(verify, unknown_names_are_refused_with_the_nearest) {
    static const char *const mechanisms[] = {"perfomer"}, *const checks[] = {"oracl"};
    flt_verify_report report;
    flt_verify_config config = {.n_mechanisms = 1, .mechanisms = mechanisms};
    cr_assert(flt_verify_run(&config, NULL, &report) == FLTE_NAME);
    cr_assert(strstr(flt_error(), "performer") != NULL, "%s", flt_error());
    config = (flt_verify_config){.n_checks = 1, .checks = checks};
    cr_assert(flt_verify_run(&config, NULL, &report) == FLTE_NAME);
    cr_assert(strstr(flt_error(), "oracle") != NULL, "%s", flt_error());
}

static flt_err unable_on_two(flt_check_context *c, const flt_attention_kind *kind) {
    if (strcmp(kind->kind.name, "linear") == 0) return flt_fail(FLTE_UNSUPPORTED, "test", "nobody has written its oracle");
    if (strcmp(kind->kind.name, "performer") == 0) return flt_fail(FLTE_DB, "test", "the disk is full");
    return flt_check_claim(c, kind->kind.name, "fine", true, 0);
}

Test(verify, what_cannot_be_judged_fails_and_the_others_go_on) {
    counts seen = {.fields_ok = true};
    const flt_sink sink = {.self = &seen, .record = count};
    const flt_verify_config config = {.threads = 1};
    flt_verify_report report = {0};
    flt_check_context c = {.config = &config, .sink = &sink, .check = "test", .report = &report};
    cr_assert(flt_each_mechanism(&c, 0, unable_on_two) == FLTE_DB, "a disk that is full is no verdict: %s", flt_error());
    cr_assert(report.failed == 1 && report.passed > 2 && seen.checks == report.passed + 1, "%zu of %zu", report.failed,
              seen.checks);
}
