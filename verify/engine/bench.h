// SPDX-License-Identifier: MIT
// What the groups of benchmarks share: a case, how it is sampled beside the probes, and settings from the command line.
#ifndef FLTX_BENCH_ENGINE_H
#define FLTX_BENCH_ENGINE_H

#include "flt/bench.h"

typedef struct flt_bench {
    const flt_bench_config *config;
    const flt_sink *sink;
    flt_bench_row_fn on_row;
    void *user;
    char options[256];   // the settings as one text
    flt_real *a, *b, *c; // [threads, EDGE, EDGE] of the product
    flt_real *x, *y;     // [LENGTH] of the pass over memory
    double *samples;     // [SERIES, reps]
} flt_bench;

typedef struct flt_bench_case {
    flt_bench_row row; // what it is; the measured part is filled in
    void *self;
    flt_err (*run)(void *self, size_t calls);
    flt_err (*beside)(void *self, size_t calls); // timed before each sample, for versus_forward; may be NULL
    void (*reset)(void *self);                   // before each sample, not timed; may be NULL
    double parts;                                // of one call: tokens of a stream, inner steps of a training run
} flt_bench_case;

flt_err flt_bench_begin(const flt_bench_config *c, const flt_sink *sink, flt_bench *out);
void flt_bench_end(flt_bench *b);
flt_err flt_bench_measure(flt_bench *b, flt_bench_case *c);

bool flt_bench_declares(const flt_kind *kind, const char *name);
// Gives `p` the settings that `kind` declares.
flt_err flt_bench_apply(const flt_bench_config *c, const flt_kind *kind, flt_params *p);
bool flt_bench_selected(const flt_bench_config *c, const char *name);
// What to do about a subject that refused: its error when it was named, else a record and FLTE_OK.
flt_err flt_bench_refused(const flt_bench *b, const char *subject, flt_err err);

flt_err flt_bench_attention(flt_bench *b);
flt_err flt_bench_optimizer(flt_bench *b);
flt_err flt_bench_task(flt_bench *b);
flt_err flt_bench_train(flt_bench *b);

#endif
