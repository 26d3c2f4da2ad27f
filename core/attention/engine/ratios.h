// SPDX-License-Identifier: MIT
// Frequencies xi [r, l] of FLT and their ratios rho [r]: where they come from, new values, the split. Private to core/attention.
//
//     rho = weight g(xi): weight = 1/p of the proposal that chose xi, or of p = N(0, I) at given or plain frequencies
//
// Frequencies stay as chosen; when an encoding's arguments change, g does and rho follows. The terms of a sum have the
// frequencies from[t] .. from[t + 1] - 1 each, and weights r / (their number) larger, so that their estimates add up.
#ifndef FLTX_ATTENTION_RATIOS_H
#define FLTX_ATTENTION_RATIOS_H

#include "encoding.h"
#include "features_backward.h"

typedef enum flt_att_split { FLTX_ATT_ONE_SIDED, FLTX_ATT_BALANCED, FLTX_ATT_SQUARED } flt_att_split;

typedef struct flt_att_ratios {
    const char *who;
    size_t H, r;
    flt_att_encoding *encoding;
    flt_att_array xi, rho;
    bool derived;  // xi and rho come from the encoding's own proposal or rule
    bool gaussian; // rho = g/p, p = N(0, I), of a mixture; neither: rho is an argument of its own
    bool even;     // a rule on the axis: g's even part
    size_t from[FLTX_ATT_MAX_TERMS + 1];
    double *weight;                 // [H, r] of derived frequencies
    double *next;                   // [H, r]: ratios that are not yet the plan's
    flt_att_split split;            // how rho stands on the two sides:
    flt_att_array on_query, on_key; // as they stand there; without data when one-sided
} flt_att_ratios;

// The encoding is read already; it and *out keep their addresses. *out may be half-built on failure: drop it all the same.
flt_err flt_att_ratios_read(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_encoding *encoding,
                            flt_att_ratios *out);
void flt_att_ratios_drop(flt_att_ratios *a);

// New values in three steps, of which the last cannot fail: which arrays; are the ratios that follow usable; take them.
void flt_att_ratios_arrays(flt_att_ratios *a, flt_att_arrays *to);
flt_err flt_att_ratios_check(flt_att_ratios *a, size_t n_args, const flt_attention_arg *args);
void flt_att_ratios_follow(flt_att_ratios *a); // after the arrays were copied

// ---- gradients: of xi, of rho, of the encoding's arguments
typedef struct flt_att_ratios_back flt_att_ratios_back;
void flt_att_ratios_names(const flt_att_ratios *a, size_t max, const char **names, size_t *n); // those that there are
flt_err flt_att_ratios_back_create(const flt_att_ratios *of, flt_att_ratios_back **out);
void flt_att_ratios_back_destroy(flt_att_ratios_back *a);
// Reads the sums of a whole pass; then one gradient after the other.
void flt_att_ratios_back_begin(flt_att_ratios_back *a, const flt_att_features_back *sums);
void flt_att_ratios_back_gather(const flt_att_ratios_back *a, const flt_att_features_back *sums,
                                const flt_attention_gradient *to);

#endif
