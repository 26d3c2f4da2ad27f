// SPDX-License-Identifier: MIT
// What meta-gradient estimators are worth on given tasks: their bias against full_bptt, and their variance, at fixed theta.
//
// One estimate is the mean over the windows of an episode of T steps, in phase, so that all estimators take the same inner steps
// (antithetic pairs, particles, T) for one estimate; it is repeated over episodes with other inner problems and perturbations.
// With g the mean of the estimates, h that of full_bptt on inner problems of its own, both of R repetitions:
//     bias      <g - h, h> / |h|^2:  0 where the length along the true gradient is right
//     off       |g - h| / |h|, less what the estimates' own variance adds to the squares (0 where that is all)
//     cosine    <g, h> / (|g| |h|)
//     variance  tr Cov / |h|^2 of one estimate
// with 95 % intervals by the jackknife over repetitions (t quantiles). |h|^2 is corrected for its noise as well in off and
// variance. An estimator counts as biased when the interval of bias or of off^2 excludes 0.
#ifndef FLTX_ESTIMATORS_H
#define FLTX_ESTIMATORS_H

#include "flt/meta.h"

FLTX_BEGIN_DECLS

typedef struct flt_interval {
    double value, low, high;
} flt_interval;

typedef struct flt_estimator_row {
    const char *estimator;
    size_t windows, particles, repetitions; // windows: of an episode, 1 for estimators of whole episodes
    flt_interval bias, off, cosine, variance;
    bool biased;
    double norm;           // of the mean estimate
    double seconds_a_step; // of time per inner step, all workers together
} flt_estimator_row;

typedef struct flt_estimators_config {
    // Tasks, seed, sigma, meta-loss, threads and ranks as in training; T is the longest unroll, rounded down to a multiple of
    // every number of windows. What concerns windows, particles, truncation, the meta-optimizer and files is not used.
    flt_meta_config meta;
    size_t n_windows;
    const size_t *windows; // numbers of windows an episode
    size_t n_particles;
    const size_t *particles;
    size_t repetitions; // R, at least 3
} flt_estimators_config;

// Rows of every estimator for each number of windows and of particles; full_bptt with the most particles is the reference, and
// has the first row. Metrics through the sink: "ESTIMATOR/pP/bias", off, cosine, variance at step `windows`. *rows is freed with
// flt_free. Errors: those of training; FLTE_UNSUPPORTED where full_bptt cannot go; FLTE_RANGE; FLTE_NUMERIC where a gradient is
// not finite, with the estimator.
flt_err flt_estimators_compare(const flt_estimators_config *c, flt_weights *w, const flt_sink *sink, size_t *n,
                               flt_estimator_row **rows);

FLTX_END_DECLS

#endif
