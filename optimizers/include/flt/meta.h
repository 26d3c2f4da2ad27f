// SPDX-License-Identifier: MIT
// Meta-training: gradient estimators (one kind per file in optimizers/meta/) and the outer loop.
//
// Particle i runs an antithetic pair of inner problems, theta +- eps, that share initialisation, data order and reset times.
// Every perturbation is regenerated from (seed, particle, window): only loss differences need to travel between workers. With
// estimators that go back through the updates the pair are two problems of their own under theta, that share reset times; their
// gradients travel. Sums over particles run in a fixed order: the same bits for any number of threads and ranks, and across a
// kill and a resume.
#ifndef FLTX_META_H
#define FLTX_META_H

#include "flt/objective.h"
#include "flt/optimizer.h"
#include "flt/ranks.h"
#include "flt/sink.h"

FLTX_BEGIN_DECLS

// What an estimator decides. Antithetic differences dL are of mean losses of the parts of a window before and after a reset.
typedef struct flt_estimator_kind {
    flt_kind kind;
    bool fresh_per_window; // a new perturbation each window (PES, truncated ES), or one per episode (NRES)
    bool accumulates;      // the gradient multiplies the sum of the episode's perturbations (PES) instead of the current one
    bool whole_episodes;   // a window is one episode from its beginning to its end, whatever flt_meta_config.window is
    bool backpropagates;   // gradients of a window's meta-loss through the updates; nothing is perturbed (bptt)
} flt_estimator_kind;

const flt_registry *flt_estimator_registry(void);
flt_err flt_estimator_find(const char *name, const flt_estimator_kind **out);

// One task of a distribution: flt_task_sample. `concrete` has room for flt_objective.spec.
typedef flt_err (*flt_task_sampler)(const char *distribution, uint64_t seed, char *concrete);

// Choices are names; NULL is the first of those listed. All but outer_steps and what stands last decides the bits, and a resumed
// run must agree in it.
typedef struct flt_meta_config {
    const char *estimator;
    size_t n_tasks;
    const char *const *tasks; // specs; particle i runs tasks[i % n_tasks]
    flt_objective_maker make;
    // Above 0: `tasks` are distributions. From each, `draws` tasks are drawn when training begins (all are made then, for each
    // thread), and each episode of particle i takes one of those of tasks[i % n_tasks].
    size_t draws;
    flt_task_sampler sample;
    uint64_t outer_steps; // total, a resumed run included
    size_t particles, window;
    double sigma; // scale of perturbations
    uint64_t seed;
    // Meta-parameters to leave alone, as patterns of the shell over names of tensors ("layers.*"): not perturbed, not updated.
    size_t n_freeze;
    const char *const *freeze;
    // ---- episodes: a length is drawn at each reset
    size_t unroll_min, unroll_max;
    // "log-uniform"; "constant", which needs unroll_min = unroll_max; "curriculum": log-uniform, its upper end growing
    // geometrically from unroll_min to unroll_max over the first `curriculum_steps` outer steps (0: outer_steps)
    const char *truncation;
    uint64_t curriculum_steps;
    bool in_phase; // first episodes have their whole length; else they are cut at random, so that particles are out of phase
    // ---- meta-loss. A window is cut by resets into parts. Losses are taken before each update; those that are not finite or
    // above clip_loss count as clip_loss.
    bool log_loss; // log(1e-6 + (loss - known minimum) / normaliser) instead of loss / normaliser
    // What a part of s steps adds to the window's loss, which is then divided by the window's steps: "mean", the sum over its
    // steps; "last", s times the loss of its last step; "min", s times its least loss, clip_loss when the run diverged in it. So
    // where a window is a whole episode these are the episode's mean, last and least loss; where episodes span several windows,
    // the mean of the windows' last or least losses.
    const char *reduction;
    // With "mean": the loss of step t of an episode of T steps counts (loss_power + 1) ((t + 1/2) / T)^loss_power, 1 on average,
    // so that above 0 the end of an episode counts more than its beginning.
    double loss_power;
    bool held_out; // on validation minibatch t in place of training minibatch t: a pass more for each loss that counts
    // ---- gradient: what a difference of the antithetic pair's losses counts for. "plain", itself; "sign", 1 or -1 an inner
    // step; "rms", divided by the root of its mean square over particles. The gradient is about 1 / (2 sigma) then, whatever the
    // loss.
    const char *difference;
    double difference_clip; // bound on it, an inner step; 0: none; not with "sign"
    // ---- meta-optimizer
    const char *outer_optimizer; // "adam", "adamw"
    double outer_lr;
    const char *outer_schedule;    // "constant", "cosine", "linear"; behind a linear warm-up of outer_warmup steps
    uint64_t outer_schedule_steps; // where cosine and linear end; 0: outer_steps
    uint64_t outer_warmup;
    double outer_final;        // share of outer_lr that cosine and linear end at
    double outer_weight_decay; // adamw: theta shrinks by rate outer_weight_decay theta
    double clip;               // of the meta-gradient; 0: none
    const char *clip_by;       // "norm", its global norm; "element", each element
    // ---- nothing below decides the bits
    bool against_adam;         // also measures Adam on each task when training begins: 12 runs of unroll_max steps a task
    int threads;               // 0: OMP_NUM_THREADS, else all cores
    const flt_ranks *ranks;    // NULL: alone. All ranks train with the same configuration; files are rank 0's
    const char *checkpoint;    // NULL: none
    uint64_t checkpoint_every; // outer steps; 0: only at the start, at the end and when stopped
    bool resume;               // FLTE_IO when the checkpoint is missing; FLTE_USAGE when it is of another configuration
} flt_meta_config;

typedef struct flt_meta_report {
    uint64_t outer_steps, inner_steps; // in all, those before a resume included
    uint64_t inner_before;             // inner steps that the checkpoint had: `seconds` are without them
    uint64_t clipped;                  // inner steps whose loss was clipped (not finite, or above clip_loss)
    uint64_t skipped;                  // outer steps without an update because the gradient was not finite
    double last_loss;                  // mean meta-loss of the last window
    double seconds;
} flt_meta_report;

void flt_meta_defaults(flt_meta_config *c);

// Trains w->theta in place. Metrics through the sink, each outer step:
//     meta_loss              mean over particles, both arms; with several tasks also meta_loss/TASK
//     grad_norm              of the meta-gradient without what is frozen, before it is clipped
//     update_norm            of the change of theta
//     clipped                inner steps whose loss was clipped
//     update_ratio           update_norm over the norm of theta
//     inner_update_ratio     of the inner problems: the norm of the change of their parameters in one step over the norm of the
//                            parameters after it. Measured in one step of the window an arm, drawn anew for each particle and
//                            window, so that its mean over outer steps is that over all inner steps; the mean over arms, without
//                            those that stand still or have left the finite numbers, 0 where none is left
//     diverged               share of particles of which an arm's loss was clipped in the window
//     effective_sample_size  (sum w_i)^2 / sum w_i^2 with w_i = |dL_i|, the size of what particle i's perturbations are
//                            multiplied by: particles when all weigh alike, 1 when one decides the gradient
//     loss_minus_adam        where asked for: meta_loss less that of Adam (at the best of six rates) over the same steps of the
//                            same tasks, below 0 where it is beaten, the logarithm of a ratio under log_loss; with several
//                            tasks also loss_minus_adam/TASK
//     inner_steps_per_s
// and with several ranks exchange_bytes (what this rank received for the step), wait_share (of the window's time, the mean over
// ranks) and slowest_rank. An inner run whose loss is not finite stands still until its episode ends. The sink is asked whether
// to stop within windows too: what is kept then is the last complete outer step. Errors: FLTE_NAME, FLTE_RANGE, FLTE_IO,
// FLTE_FORMAT (damaged checkpoint), FLTE_USAGE, FLTE_NOMEM; FLTE_INTERRUPTED after a clean stop: theta holds the last state and
// the checkpoint is written. With ranks: a failure of one is the failure of all, with its name; FLTE_IO when one is gone, and the
// checkpoint that was written last resumes.
flt_err flt_meta_train(const flt_meta_config *c, flt_weights *w, const flt_sink *sink, flt_meta_report *out /* may be NULL */);

FLTX_END_DECLS

#endif
