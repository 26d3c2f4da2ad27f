// SPDX-License-Identifier: MIT
// Where records go: libraries that measure (verify, meta-training, evaluation) write to a sink, and the program connects it to
// the SQLite store, to JSON lines, to nothing, or to several.
#ifndef FLTX_SINK_H
#define FLTX_SINK_H

#include "flt/error.h"

FLTX_BEGIN_DECLS

// A named value of a record. Exactly one of text and (number, with is_text false) counts; numbers may be NaN or infinite.
typedef struct flt_field {
    const char *name;
    bool is_text;
    double number;
    const char *text;
} flt_field;

static inline flt_field flt_num_field(const char *name, double x) {
    const flt_field f = {name, false, x, NULL}; // no compound literal: C++ reads this as well
    return f;
}
static inline flt_field flt_text_field(const char *name, const char *x) {
    const flt_field f = {name, true, 0.0, x};
    return f;
}

typedef struct flt_sink flt_sink;
struct flt_sink {
    void *self;
    // A metric of the current run at a step ("meta_loss", 120, 1.7).
    flt_err (*metric)(void *self, const char *name, uint64_t step, double value);
    // A row of table `kind` ("check", "ladder", "evaluation", "timing"); the fields of each kind are listed in results.h.
    flt_err (*record)(void *self, const char *kind, size_t n, const flt_field *fields);
    // Progress in [0, 1] with a short status line; called often, returns at once.
    void (*progress)(void *self, double done, const char *status);
    // True once the user asked to stop (Ctrl-C): finish the step, save, return FLTE_INTERRUPTED.
    bool (*stopped)(void *self);
};

// NULL-safe calls: a NULL sink, or a NULL function in it, accepts everything and never asks to stop.
flt_err flt_sink_metric(const flt_sink *s, const char *name, uint64_t step, double value);
flt_err flt_sink_record(const flt_sink *s, const char *kind, size_t n, const flt_field *fields);
void flt_sink_progress(const flt_sink *s, double done, const char *status);
bool flt_sink_stopped(const flt_sink *s);

FLTX_END_DECLS

#endif
