// SPDX-License-Identifier: MIT
// Evaluation of optimizers on objectives: learning curves, tuning of learning rates, steps to another optimizer's loss.
#ifndef FLTX_EVALUATE_H
#define FLTX_EVALUATE_H

#include "flt/objective.h"
#include "flt/optimizer.h"
#include "flt/ranks.h"
#include "flt/sink.h"

FLTX_BEGIN_DECLS

// One run: loss [steps], training losses, each before its step's update, NaN and infinities included as they come. The parameters
// of the task are left in `param` [P] when not NULL. Initialisation and data order depend on (seed) alone: equal for every
// optimizer. Errors: those of the task and the optimizer, FLTE_NOMEM.
flt_err flt_run_curve(const flt_weights *w, const char *task, flt_objective_maker make, uint64_t seed, size_t steps, double *loss,
                      flt_real *param);

// What is tried of hand-designed kinds, those with "lr" that are not learned; learned ones run as they are.
typedef enum flt_tuning {
    FLTX_TUNE_NOTHING, // their own settings
    FLTX_TUNE_LR,      // 15 rates 1e-7, 3e-7, .., 3e-1, 1
    FLTX_TUNE_FULL,    // 15 rates x the settings of flt_tuned_kinds x flt_tuned_schedules
} flt_tuning;

typedef struct flt_eval_config {
    const char *label;             // of the optimizer, in names of metrics; NULL: its kind's name
    const char *task, *task_label; // the label stands for TASK there; NULL: task
    flt_objective_maker make;
    size_t steps, seeds;
    uint64_t first_seed; // evaluation seeds live in a stream of their own: meta-training never sees them
    flt_tuning tune;
    double ema;             // smoothing of the curve averaged over seeds, 0.95 (bias-corrected exponential mean)
    int threads;            // over (rate, seed) cells; 0: all; results do not depend on it
    const flt_ranks *ranks; // NULL: alone; else cells go to all ranks, and all of them have the results (times are rank 0's)
} flt_eval_config;

typedef struct flt_eval_seed { // one run at the rate that was chosen
    uint64_t seed;
    double *curve; // [steps], smoothed; within the block of the result
    double final_loss, best_loss, test_loss, test_metric, seconds;
} flt_eval_seed;

// The grid of a tuning, in data (engine/tuning.c). The settings of each hand-designed kind that are tried at every rate, the
// first
// "" its defaults; the schedules, whose W is a twentieth of the steps and T all of them; the rates.
enum { FLTX_TUNED_SETTINGS = 6 };
typedef struct flt_tuned_kind {
    const char *kind, *settings[FLTX_TUNED_SETTINGS]; // "key=value,key=value"; NULL behind the last
} flt_tuned_kind;
extern const flt_tuned_kind flt_tuned_kinds[]; // these end with NULL
extern const char *const flt_tuned_schedules[], *const flt_tuned_rates[];

// The seed as records carry it: numbers there are doubles, so it is kept modulo 2^53.
static inline double flt_eval_seed_number(uint64_t seed) {
    return (double)(seed & ((UINT64_C(1) << 53) - 1));
}

typedef struct flt_eval_result {
    double lr;                     // the rate used (the best one when tuned)
    char settings[128];            // what else the best one sets, "beta2=0.99,warmup=25"; "" for defaults
    size_t tried;                  // settings that were run
    size_t diverged;               // seeds that did, see flt_diverged
    double *curve;                 // [steps], mean over seeds, smoothed; freed by flt_eval_free
    double final_loss;             // last of curve
    double test_loss, test_metric; // mean over seeds at the last step; NaN when the task has none
    double ns_per_step;            // optimizer step alone, per parameter
    double state_words;            // per parameter
    double seconds;                // wall time of one run
    flt_eval_seed *seed;           // [seeds], whose means these are: smoothing is linear
    double *seed_curves;           // [seeds, steps]
} flt_eval_result;

// Tuning picks the least final loss; curves that end in a NaN or infinity never win. Under FLTX_TUNE_FULL *out is still the best
// of the rates at default settings, and *full (NULL: not wanted) the best of the whole grid; {0} where nothing but *out was run.
// Metrics, LABEL of *full being that of *out with "-full": loss/LABEL/TASK by step (at most 2,000 points), the same of each seed
// as records of kind "curve" (at most 200), and, when tuned, all that was tried: curves "final_loss_by_rate" and
// "final_loss_by_rate SETTINGS" of subject LABEL by index of the rate. The rows of table "evaluation" are the caller's, who knows
// the baseline. Errors: FLTE_RANGE, FLTE_NOMEM, FLTE_INTERRUPTED, those of the task, the optimizer and the sink. *out and *full
// are {0} then.
flt_err flt_eval_optimizer(const flt_eval_config *c, const flt_weights *w, const flt_sink *sink, flt_eval_result *out,
                           flt_eval_result *full);
void flt_eval_free(flt_eval_result *r); // {0} is fine

// First step (1-based) at which `curve` is at or below `target`, linearly interpolated; infinity when never.
double flt_steps_to_loss(const double *curve, size_t steps, double target);

// How many times faster than the baseline: its steps to its final loss over the steps of `curve` to the same loss. A curve that
// never gets there is measured at its own final loss instead: the baseline's steps to that, over all steps; so that a run which
// ends just above the baseline counts just below 1 (as VeLO normalises losses, arXiv 2211.09760). A curve that diverged
// counts 0, wherever it was before. NaN when the baseline ends in a NaN or infinity.
double flt_speedup(const double *baseline, const double *curve, size_t steps);

// It ends in a NaN or infinity, or above twice the loss it began with.
bool flt_diverged(const double *curve, size_t steps);

FLTX_END_DECLS

#endif
