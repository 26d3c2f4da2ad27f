// SPDX-License-Identifier: MIT
// Verification: oracles in long double, checks (one kind per file in verify/), the error ladder. Records leave through the sink.
#ifndef FLTX_VERIFY_H
#define FLTX_VERIFY_H

#include "flt/attention.h"
#include "flt/ranks.h"
#include "flt/registry.h"
#include "flt/sink.h"

FLTX_BEGIN_DECLS

enum { FLTX_CHECK_QUICK = 1u << 0, FLTX_CHECK_FULL = 1u << 1 }; // levels a check runs at

typedef enum flt_verdict { FLTX_PASS, FLTX_MARGINAL, FLTX_FAIL } flt_verdict;

enum { FLTX_LADDER_SEEDS = 64 }; // at most

typedef struct flt_verify_config {
    bool full;
    size_t n_mechanisms; // 0: all
    const char *const *mechanisms;
    size_t n_checks; // 0: all
    const char *const *checks;
    size_t n_encodings; // of the ladder; 0: a Gaussian mixture on random positions
    const char *const *encodings;
    size_t n_n, n_m, n_r; // sizes of the ladder; 0: the level's own
    const size_t *n, *m, *r;
    size_t seeds; // of the ladder; 0: the level's own
    uint64_t seed;
    int threads;
    const flt_ranks *ranks; // NULL: alone; else checks go to all ranks, and rank 0's sink hears of every case
} flt_verify_config;

typedef struct flt_verify_report {
    size_t passed, marginal, failed;
    double worst_ratio;
} flt_verify_report;

// What a check is given. Each case reported becomes a row and counts towards the verdict.
typedef struct flt_check_context {
    const flt_verify_config *config;
    const flt_sink *sink;
    const char *check;
    flt_verify_report *report;
    double from, part; // of the whole run: where this check starts, how much of it this check is
} flt_check_context;

typedef struct flt_check_kind {
    flt_kind kind; // summary: the claim; formula: the identity
    flt_err (*run)(flt_check_context *c);
} flt_check_kind;

const flt_registry *flt_check_registry(void);
flt_err flt_check_find(const char *name, const flt_check_kind **out);

// Runs the selected checks. FLTE_CHECK when one failed (the report is complete then as well).
flt_err flt_verify_run(const flt_verify_config *c, const flt_sink *sink, flt_verify_report *out);

// ratio = |got - want|_F / (eps growth scale); pass <= 30, marginal <= 300, NaN fails.
double flt_ratio(size_t n, const flt_real *got, const long double *want, double growth, double scale);
flt_verdict flt_judge(double ratio);

// A case of a check: "flt causal n=33 d=8 m=16": `ratio` is judged and recorded.
flt_err flt_check_case(flt_check_context *c, const char *mechanism, const char *label, double ratio);
// A case that is judged by a yes or no, with the number that was looked at.
flt_err flt_check_claim(flt_check_context *c, const char *mechanism, const char *label, bool holds, double value);
// After a body that returned `err`: what it says it cannot judge (FLTE_UNSUPPORTED: no oracle, a capability without what it
// promises) is a case that failed, with the sentence as its label; other errors are returned.
flt_err flt_check_unable(flt_check_context *c, const char *mechanism, flt_err err);
// A statistic with the bound it was held against (a number of standard errors, half an interval); detail may be NULL.
typedef struct flt_statistic {
    double value, threshold;
    const char *detail;
    bool holds;
    bool lenient; // a miss is marginal, not a failure
} flt_statistic;
flt_err flt_check_statistic(flt_check_context *c, const char *mechanism, const char *label, const flt_statistic *s);

FLTX_END_DECLS

#endif
