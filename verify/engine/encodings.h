// SPDX-License-Identifier: MIT
// Encodings with sensible arguments on a line of N tokens, for measurements: lengths are a tenth of the line, f is of order one.
#ifndef FLTX_VERIFY_ENCODINGS_H
#define FLTX_VERIFY_ENCODINGS_H

#include "flt/attention.h"
#include "flt/rpe.h"

enum { FLTX_CASE_ARGS = 4 };

typedef struct flt_encoding_case {
    const flt_rpe_kind *kind;
    double step; // between tokens: 1 for encodings of whole positions, else 1/N
    size_t n_args;
    flt_attention_arg args[FLTX_CASE_ARGS]; // of plans, beside `pos` and rpe=name
    flt_rpe_args closed;                    // the same for the closed form
    double numbers[FLTX_CASE_ARGS];
    double *table;
} flt_encoding_case;

// FLTE_NAME (no such encoding, with the valid ones), FLTE_NOMEM.
flt_err flt_encoding_case_create(const char *name, size_t n, flt_encoding_case **out);
void flt_encoding_case_destroy(flt_encoding_case *c); // NULL is fine

// f(r_i - r_j) at (i - j) + n - 1: lags [2n - 1].
void flt_encoding_case_lags(const flt_encoding_case *c, size_t n, double *lags);

#endif
