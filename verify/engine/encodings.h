// SPDX-License-Identifier: MIT
// An encoding with arguments, whichever it is, and what it has to be by its definition.
#ifndef FLTX_ENCODINGS_H
#define FLTX_ENCODINGS_H

#include "flt/attention.h"
#include "flt/rpe.h"

enum { FLTX_CASE_LAGS = 41, FLTX_CASE_BUCKETS = 8, FLTX_CASE_MAX_ARGS = 12 };

// Values for every argument that encodings have; those of the kind are used.
typedef struct flt_encoding_case {
    const flt_rpe_kind *kind;
    size_t l;
    double w[2], mu[6], s2[2], c, v, scale, band, slope, decay, max_distance;
    double lag_bias[2 * FLTX_CASE_LAGS - 1], buckets[FLTX_CASE_BUCKETS];
} flt_encoding_case;

// Lag tables are symmetric where a spectrum is wanted.
flt_encoding_case flt_encoding_case_of(const flt_rpe_kind *kind, size_t l, bool symmetric);
size_t flt_encoding_case_args(const flt_encoding_case *e, flt_attention_arg *out /* [FLTX_CASE_MAX_ARGS] */);
flt_rpe_args flt_encoding_case_values(const flt_encoding_case *e);
bool flt_encoding_takes(const flt_rpe_kind *kind, const char *name);
bool flt_encoding_whole(const flt_rpe_kind *kind);        // positions on the grid
size_t flt_encoding_dimensions(const flt_rpe_kind *kind); // largest l that it knows, at most 3

// f(z) by its definition, in long double. NaN: nobody has written it down.
long double flt_encoding_oracle(const flt_encoding_case *e, const double *z);

#endif
