// SPDX-License-Identifier: MIT
// An encoding with arguments, whichever it is, and what it has to be by its definition.
#ifndef FLTX_ENCODING_SAMPLE_H
#define FLTX_ENCODING_SAMPLE_H

#include "flt/attention.h"
#include "flt/rpe.h"

enum { FLTX_SAMPLE_LAGS = 41, FLTX_SAMPLE_BUCKETS = 8, FLTX_SAMPLE_MAX_ARGS = 12 };

// Values for every argument that encodings have; those of the kind are used.
typedef struct flt_encoding_sample {
    const flt_rpe_kind *kind;
    size_t l;
    double w[2], mu[6], s2[2], c, v, scale, band, slope, decay, max_distance;
    double lag_bias[2 * FLTX_SAMPLE_LAGS - 1], buckets[FLTX_SAMPLE_BUCKETS];
} flt_encoding_sample;

// Lag tables are symmetric where a spectrum is wanted.
flt_encoding_sample flt_encoding_sample_of(const flt_rpe_kind *kind, size_t l, bool symmetric);
size_t flt_encoding_sample_args(const flt_encoding_sample *e, flt_attention_arg *out /* [FLTX_SAMPLE_MAX_ARGS] */);
flt_rpe_args flt_encoding_sample_values(const flt_encoding_sample *e);
bool flt_encoding_takes(const flt_rpe_kind *kind, const char *name);
bool flt_encoding_whole(const flt_rpe_kind *kind);        // positions on the grid
size_t flt_encoding_dimensions(const flt_rpe_kind *kind); // largest l that it knows, at most 3

// f(z) by its definition, in long double. NaN: nobody has written it down.
long double flt_encoding_oracle(const flt_encoding_sample *e, const double *z);

#endif
