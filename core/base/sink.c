// SPDX-License-Identifier: MIT
// Calls of a sink that may be missing, or may lack functions.
#include "flt/sink.h"

flt_err flt_sink_metric(const flt_sink *s, const char *name, uint64_t step, double value) {
    return s == NULL || s->metric == NULL ? FLTE_OK : s->metric(s->self, name, step, value);
}

flt_err flt_sink_record(const flt_sink *s, const char *kind, size_t n, const flt_field *fields) {
    return s == NULL || s->record == NULL ? FLTE_OK : s->record(s->self, kind, n, fields);
}

void flt_sink_progress(const flt_sink *s, double done, const char *status) {
    if (s != NULL && s->progress != NULL) s->progress(s->self, done, status);
}

bool flt_sink_stopped(const flt_sink *s) {
    return s != NULL && s->stopped != NULL && s->stopped(s->self);
}
