// SPDX-License-Identifier: MIT
// Fidelity: which linear attention to use at N for a given error. Every mechanism that can stand in for softmax attention, with
// each way of drawing frequencies and each kind of feature, against exact masked attention in double: error, time, bytes.
//
// Inputs: one head of width d; q, k ~ N(0, sd^2 I), v ~ N(0, I), independent. sd = 1 is what layer normalisation leaves: |q| =
// sqrt d, logits of standard deviation sd^2. With such v the relative error of the output is, on average, that of the matrix of
// weights in the Frobenius norm: nothing is averaged away by smooth values.
#ifndef FLTX_FIDELITY_H
#define FLTX_FIDELITY_H

#include "flt/registry.h"
#include "flt/sink.h"

FLTX_BEGIN_DECLS

typedef struct flt_fidelity_config {
    bool full;
    size_t n_mechanisms, n_encodings, n_n, n_m, n_r, n_scales; // 0: the level's own
    const char *const *mechanisms, *const *encodings;
    const size_t *n, *m, *r;
    const double *scales; // sd
    size_t seeds;         // 0: the level's own
    size_t width;         // d = dv; 0: 64
    uint64_t seed;
    int threads;
} flt_fidelity_config;

// One recipe at one budget; means over the seeds.
typedef struct flt_fidelity_row {
    const char *mechanism, *options;
    size_t m, r;          // 0: the mechanism has none
    double error, worst;  // relative Frobenius distance; the largest over the seeds
    double seconds;       // of one forward pass, least of several (one thread: its own clock)
    double bytes;         // all that the plan holds, tables included
    bool published, best; // best: no other row has less error in less time
    size_t recipe;        // which of the group's recipes
} flt_fidelity_row;

// A recipe at its best budget, beside the published recipe (see flt_fidelity_group). NaN: none of its budgets qualifies.
typedef struct flt_fidelity_ratio {
    const char *mechanism, *options;
    double time;  // least time among budgets with no more error than the reference, over the reference's time
    double error; // least error among budgets that take no more time, over the reference's error
} flt_fidelity_ratio;

typedef struct flt_fidelity_group {
    const char *encoding;
    size_t n, d;
    double scale, seconds_exact, bytes_exact;
    size_t n_rows, n_ratios;
    const flt_fidelity_row *rows;
    const flt_fidelity_row *reference; // the published recipe at the budget nearest to m = 256; NULL where it cannot run
    const flt_fidelity_ratio *ratios;
} flt_fidelity_group;

typedef flt_err (*flt_fidelity_fn)(void *user, const flt_fidelity_group *group);

// Measures all groups and hands each to `group` (may be NULL); every cell and seed is a record "ladder". Errors: FLTE_NAME
// (mechanism, encoding), FLTE_USAGE (a mechanism that cannot stand in for softmax attention), FLTE_NOMEM, FLTE_INTERRUPTED, those
// of the sink and of `group`.
flt_err flt_fidelity_run(const flt_fidelity_config *c, const flt_sink *sink, flt_fidelity_fn group, void *user);

FLTX_END_DECLS

#endif
