// SPDX-License-Identifier: MIT
// Benchmarks: what each mechanism, optimizer and task costs, beside what the machine can do at that moment.
//
// Each repetition times a matrix product, a pass over memory and the subject in turn, so that a share of the machine's rate is a
// quotient of neighbours in time. Raw samples leave through the sink as records "timing", the probes' (phase "probe") as well.
#ifndef FLTX_BENCH_H
#define FLTX_BENCH_H

#include "flt/registry.h"
#include "flt/sink.h"

FLTX_BEGIN_DECLS

typedef enum flt_bench_group { FLTX_BENCH_ATTENTION, FLTX_BENCH_OPTIMIZER, FLTX_BENCH_TASK, FLTX_BENCH_TRAIN } flt_bench_group;

enum { FLTX_BENCH_FORWARD = 1u << 0, FLTX_BENCH_STREAM = 1u << 1, FLTX_BENCH_BACKWARD = 1u << 2 }; // phases of attention

typedef struct flt_bench_config {
    flt_bench_group group;
    unsigned phases;          // of attention; 0: forward, and the stream where there is one
    size_t n_names;           // 0: all of the registry
    const char *const *names; // mechanisms; optimizers; task specs; learned optimizers
    size_t n_n, n_m, n_r;     // 0: the group's own
    const size_t *n, *m, *r;  // tokens, parameters or particles; kernel features; frequencies
    size_t n_settings;        // "key=value", for the subjects that declare the key
    const char *const *settings;
    size_t reps;
    uint64_t seed;
    int threads;
} flt_bench_config;

// One subject at one size. Times are seconds for one forward or backward pass, token, step or gradient. NaN: not known, or says
// nothing.
typedef struct flt_bench_row {
    const char *subject, *phase, *label, *options; // options: the settings, "" without any
    size_t n, d, m, r;
    int threads;
    double median, low, high;        // low, high: quartiles
    double flops, moved;             // arithmetic of the method, bytes that must move at the least
    double gemm_rate, memory_rate;   // medians of the probes, flop/s and bytes/s, on as many threads
    double gemm_share, memory_share; // medians of the quotients within a repetition
    double bytes;                    // workspace, or an optimizer's state
    double peak_rss;                 // bytes of the process while it ran, the probes' arrays among them
    double versus_forward;           // of a backward pass: median of its time by that of a forward pass beside it
    double error;                    // relative Frobenius distance from exact attention
    double minibatch, idle, hessian; // of a task, as in flt/task_cost.h, the first two as shares of its gradient
} flt_bench_row;

typedef flt_err (*flt_bench_row_fn)(void *user, const flt_bench_row *row);

// The group of this name; FLTE_NAME with the valid ones.
flt_err flt_bench_find(const char *name, flt_bench_group *out);
// Are names, sizes and settings known? Errors: FLTE_NAME, FLTE_USAGE, FLTE_RANGE, those of the tasks.
flt_err flt_bench_check(const flt_bench_config *c);
// Runs all cases and hands each row to `row` (may be NULL). A subject of the registry that refuses the shapes is left out with a
// record "event", unless it was named. Errors: those of flt_bench_check, of `row` and of the sink; FLTE_NOMEM; FLTE_INTERRUPTED.
flt_err flt_bench_run(const flt_bench_config *c, const flt_sink *sink, flt_bench_row_fn row, void *user);

FLTX_END_DECLS

#endif
