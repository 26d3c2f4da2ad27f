// SPDX-License-Identifier: MIT
// The estimator report of `flt train`: its options, a child parser whose input is a flt_estimator_options *, and its table.
#ifndef FLTX_ESTIMATOR_OPTIONS_H
#define FLTX_ESTIMATOR_OPTIONS_H

#include "engine/args.h"
#include "engine/session.h"
#include "flt/estimators.h"

typedef struct flt_estimator_options {
    bool asked;  // for a report in place of training
    bool shaped; // something was said of how it is to be
    size_t steps, repetitions;
    size_t n_windows, windows[FLTX_MAX_LIST];
    size_t n_particles, particles[FLTX_MAX_LIST];
} flt_estimator_options;

extern const struct argp flt_estimator_argp;

flt_estimator_options flt_estimator_defaults(void);
// Measures at the weights w, of which nothing changes, and prints the table. `meta`: of the training that is asked about.
flt_err flt_estimator_report(const flt_estimator_options *o, const flt_meta_config *meta, flt_weights *w, bool json,
                             flt_session *s);

#endif
