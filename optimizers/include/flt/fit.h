// SPDX-License-Identifier: MIT
// Training of one task by one optimizer: curves, checkpoints, a bit-exact resume.
#ifndef FLTX_FIT_H
#define FLTX_FIT_H

#include "flt/objective.h"
#include "flt/optimizer.h"
#include "flt/sink.h"

FLTX_BEGIN_DECLS

typedef struct flt_fit_config {
    const char *task;
    flt_objective_maker make;
    uint64_t seed;          // initialisation and minibatches: those of flt_run_curve and `flt eval`
    uint64_t steps;         // in all, those before a resume included
    uint64_t log_every;     // steps between training losses (their means); 0: steps / 200
    uint64_t eval_every;    // steps between evaluations on the validation and test splits; 0: steps / 10
    const char *checkpoint; // NULL: none
    uint64_t checkpoint_every;
    bool resume; // FLTE_IO when the checkpoint is missing; FLTE_USAGE when it is of another task, optimizer or seed
} flt_fit_config;

typedef struct flt_fit_report {
    flt_layout layout;
    flt_real *param;                                         // [layout.total], after the last step
    uint64_t first, step;                                    // where this call began (0, or the checkpoint's step) and ended
    double train_loss;                                       // mean since the log before the last
    double valid_loss, valid_metric, test_loss, test_metric; // metrics: NaN where the task has none
    double best_valid;                                       // least validation loss of all evaluations
    double seconds, steps_per_s;                             // of the steps alone
    double lr;                                               // the optimizer's, NaN where it has none
    char metric[32];                                         // its name, "" for none
    char baseline_name[64];                                  // of the objective, "" for none
    double baseline;
} flt_fit_report;

// Metrics by step: train_loss; valid_loss, test_loss, and with a metric valid_METRIC and test_METRIC; steps_per_s. Errors: those
// of the task, the optimizer and the sink; FLTE_NUMERIC when the training loss is not finite; FLTE_FORMAT (damaged checkpoint);
// FLTE_INTERRUPTED after a clean stop, with the checkpoint written. After FLTE_INTERRUPTED, FLTE_NUMERIC and errors of the sink
// *out holds what there is; free it in every case.
flt_err flt_fit(const flt_fit_config *c, const flt_weights *w, const flt_sink *sink, flt_fit_report *out);
void flt_fit_free(flt_fit_report *r); // leaves {0}

// The parameters as safetensors, a tensor each, task and seed in the metadata.
flt_err flt_fit_save(const flt_fit_config *c, const flt_weights *w, const flt_fit_report *r, const char *path);

FLTX_END_DECLS

#endif
