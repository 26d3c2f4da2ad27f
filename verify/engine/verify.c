// SPDX-License-Identifier: MIT
// Runs the selected checks and judges their cases.
#include "flt/verify.h"

#include "engine/spread.h"
#include "flt/memory.h"
#include "flt/rpe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PASS_RATIO = 30, MARGINAL_RATIO = 300 };

double flt_ratio(size_t n, const flt_real *got, const long double *want, double growth, double scale) {
    long double error = 0.0L;
    for (size_t i = 0; i < n; i++) {
        const long double e = (long double)got[i] - want[i];
        error += e * e;
    }
    return (double)sqrtl(error) / (FLTX_EPS * growth * scale);
}

flt_verdict flt_judge(double ratio) {
    if (!(ratio <= MARGINAL_RATIO)) return FLTX_FAIL; // NaN fails
    return ratio <= PASS_RATIO ? FLTX_PASS : FLTX_MARGINAL;
}

static const char *count_verdict(flt_check_context *c, flt_verdict verdict) {
    static const char *const names[] = {"pass", "marginal", "fail"};
    *(verdict == FLTX_PASS ? &c->report->passed : verdict == FLTX_MARGINAL ? &c->report->marginal : &c->report->failed) += 1;
    return names[verdict];
}

// A claim's number is a `value`, a case's a `ratio`.
static flt_err report(flt_check_context *c, const char *mechanism, const char *label, double value, flt_verdict verdict,
                      bool claim) {
    const flt_field fields[] = {flt_text_field("mechanism", mechanism), flt_text_field("check", c->check),
                                flt_text_field("label", label), flt_num_field(claim ? "value" : "ratio", value),
                                flt_text_field("verdict", count_verdict(c, verdict))};
    return flt_sink_record(c->sink, "check", sizeof fields / sizeof *fields, fields);
}

flt_err flt_check_statistic(flt_check_context *c, const char *mechanism, const char *label, const flt_statistic *s) {
    FLTX_GIVEN(c, mechanism, label, s);
    const flt_field fields[] = {flt_text_field("mechanism", mechanism),
                                flt_text_field("check", c->check),
                                flt_text_field("label", label),
                                flt_text_field("verdict", count_verdict(c, s->holds     ? FLTX_PASS
                                                                           : s->lenient ? FLTX_MARGINAL
                                                                                        : FLTX_FAIL)),
                                flt_num_field("value", s->value),
                                flt_num_field("threshold", s->threshold),
                                flt_text_field("detail", s->detail)};
    return flt_sink_record(c->sink, "check", (s->detail == NULL ? 6 : 7), fields);
}

flt_err flt_check_case(flt_check_context *c, const char *mechanism, const char *label, double ratio) {
    FLTX_GIVEN(c, mechanism, label);
    if (!(ratio <= c->report->worst_ratio)) c->report->worst_ratio = ratio;
    return report(c, mechanism, label, ratio, flt_judge(ratio), false);
}

flt_err flt_check_claim(flt_check_context *c, const char *mechanism, const char *label, bool holds, double value) {
    FLTX_GIVEN(c, mechanism, label);
    return report(c, mechanism, label, value, holds ? FLTX_PASS : FLTX_FAIL, true);
}

flt_err flt_check_unable(flt_check_context *c, const char *mechanism, flt_err err) {
    char sentence[512];
    if (err != FLTE_UNSUPPORTED) return err;
    FLTX_GIVEN(c, mechanism);
    snprintf(sentence, sizeof sentence, "%s", flt_error());
    flt_error_clear();
    return flt_check_claim(c, mechanism, sentence, false, NAN);
}

static bool selected(const flt_verify_config *c, const flt_kind *kind) {
    for (size_t i = 0; i < c->n_checks; i++)
        if (strcmp(c->checks[i], kind->name) == 0) return true;
    return c->n_checks == 0 && (kind->caps & (c->full ? FLTX_CHECK_FULL : FLTX_CHECK_QUICK)) != 0;
}

static flt_err check_names(const flt_verify_config *c) {
    const flt_kind *kind = NULL;
    for (size_t i = 0; i < c->n_mechanisms; i++) FLTX_TRY(flt_registry_find(flt_attention_registry(), c->mechanisms[i], &kind));
    for (size_t i = 0; i < c->n_checks; i++) FLTX_TRY(flt_registry_find(flt_check_registry(), c->checks[i], &kind));
    for (size_t i = 0; i < c->n_encodings; i++) FLTX_TRY(flt_registry_find(flt_rpe_registry(), c->encodings[i], &kind));
    return FLTE_OK;
}

// Seconds that a check takes, roughly, so that the time that is left can be told.
static double weight_of(const flt_verify_config *c, const flt_kind *kind) {
    static const struct {
        const char *name;
        double quick, full;
    } known[] = {{"ladder", 2, 60},   {"gradient", 2, 30},   {"scaling", 0, 20}, {"oracle", 2, 60}, {"decomposition", 0.5, 10},
                 {"kernel", 0.5, 15}, {"batching", 0.5, 20}, {"slope", 0, 10},   {"mask", 0.5, 10}, {"template", 0.5, 10}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, kind->name) == 0) return c->full ? known[i].full : known[i].quick;
    return c->full ? 3.0 : 0.3;
}

enum { MOST_CHECKS = 256 };

// Each check goes to the rank with the least to do so far, the longest first. Everyone finds the same.
static void deal(const flt_verify_config *c, const flt_registry *r, int *owner) {
    const int ranks = flt_ranks_count(c->ranks);
    double load[MOST_CHECKS] = {0}; // more ranks than checks have nothing to do
    const int used = ranks < MOST_CHECKS ? ranks : MOST_CHECKS;
    for (size_t i = 0; i < MOST_CHECKS; i++) owner[i] = -1;
    for (;;) {
        size_t longest = MOST_CHECKS;
        for (size_t i = 0; i < MOST_CHECKS && r->kinds[i] != NULL; i++)
            if (owner[i] < 0 && selected(c, r->kinds[i]) &&
                (longest == MOST_CHECKS || weight_of(c, r->kinds[i]) > weight_of(c, r->kinds[longest])))
                longest = i;
        if (longest == MOST_CHECKS) break;
        int least = 0;
        for (int k = 1; k < used; k++)
            if (load[k] < load[least]) least = k;
        owner[longest] = least;
        load[least] += weight_of(c, r->kinds[longest]);
    }
    for (size_t i = 0; i < MOST_CHECKS; i++)
        if (owner[i] < 0) owner[i] = 0;
}

// The checks of this rank (all, alone). `spread` is NULL alone.
static flt_err run_own(const flt_verify_config *c, const flt_sink *sink, const int *owner, flt_spread *spread,
                       flt_verify_report *out) {
    const flt_registry *r = flt_check_registry();
    const int me = flt_ranks_me(c->ranks);
    double all = 0.0, done = 0.0;
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        all += selected(c, r->kinds[i]) && owner[i] == me ? weight_of(c, r->kinds[i]) : 0.0;
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const flt_check_kind *kind = (const flt_check_kind *)r->kinds[i];
        if (!selected(c, &kind->kind) || owner[i] != me) continue;
        const double part = weight_of(c, &kind->kind) / all;
        flt_check_context context = {
            .config = c, .sink = sink, .check = kind->kind.name, .report = out, .from = done, .part = part};
        if (spread != NULL) spread->part = (uint32_t)i;
        flt_sink_progress(sink, done, kind->kind.name);
        FLTX_TRY(kind->run(&context));
        done += part;
    }
    return FLTE_OK;
}

// Sums of the reports of all ranks, on all ranks.
static flt_err add_reports(const flt_ranks *r, flt_verify_report *out) {
    flt_verify_report *each = NULL;
    flt_err err = flt_alloc((size_t)r->count, sizeof *each, &each);
    if (err == FLTE_OK) each[r->me] = *out;
    err = flt_ranks_cells(r, (size_t)r->count, sizeof *each, each, err);
    if (err == FLTE_OK) *out = (flt_verify_report){0};
    for (int k = 0; err == FLTE_OK && k < r->count; k++) {
        out->passed += each[k].passed;
        out->marginal += each[k].marginal;
        out->failed += each[k].failed;
        if (!isnan(out->worst_ratio) && !(each[k].worst_ratio <= out->worst_ratio)) out->worst_ratio = each[k].worst_ratio;
    }
    flt_free(each);
    return err;
}

static flt_err run_ranks(const flt_verify_config *c, const flt_sink *sink, const int *owner, flt_verify_report *out) {
    flt_spread spread;
    flt_spread_begin(sink, &spread);
    const flt_err ran = run_own(c, &spread.sink, owner, &spread, out);
    flt_err err = flt_spread_say(&spread, c->ranks, MOST_CHECKS, owner, ran);
    flt_spread_end(&spread);
    if (err == FLTE_OK) err = add_reports(c->ranks, out);
    return err;
}

flt_err flt_verify_run(const flt_verify_config *c, const flt_sink *sink, flt_verify_report *out) {
    FLTX_GIVEN(c, out);
    int owner[MOST_CHECKS];
    *out = (flt_verify_report){0};
    FLTX_TRY(check_names(c));
    if (c->seeds > FLTX_LADDER_SEEDS)
        return flt_fail(FLTE_RANGE, "verify", "%zu draws a cell of the ladder; at most %d are possible", c->seeds,
                        FLTX_LADDER_SEEDS);
    deal(c, flt_check_registry(), owner);
    if (flt_ranks_count(c->ranks) == 1)
        FLTX_TRY(run_own(c, sink, owner, NULL, out));
    else
        FLTX_TRY(run_ranks(c, sink, owner, out));
    if (out->failed == 0) return FLTE_OK;
    return flt_fail(FLTE_CHECK, "verify", "%zu of %zu cases failed", out->failed, out->passed + out->marginal + out->failed);
}
