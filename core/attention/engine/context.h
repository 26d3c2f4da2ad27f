// SPDX-License-Identifier: MIT
// The network around FFTNet's filter: a modulation from what all tokens have in common, a residual with layer norm. Private to
// core/attention.
//
//     modulation [H, K] = tanh(w2 gelu(w0 m + b0) + b2),   m [D] = mean of the tokens over all heads, D = H d, K = N/2 + 1
//     out = gain (s - mean s) / sqrt(var s + 1e-5) + offset,   s = x + y, moments over the D numbers of a token
//
// w0 [D, D], b0 [D], w2 [H K, D], b2 [H K], gain [D], offset [D], in double; gelu by the error function. Drawn where they are not
// given: weights from N(0, 1/D), b 0, gain 1, offset 0. Cost O(D^2 + D H K + N D) for each of B.
#ifndef FLTX_ATTENTION_CONTEXT_H
#define FLTX_ATTENTION_CONTEXT_H

#include "args.h"

#include "flt/memory.h"

enum { FLTX_CONTEXT_ARRAYS = 6 };
#define FLTX_ATT_CONTEXT_ARGS "w0", "b0", "w2", "b2", "gain", "offset"

typedef struct flt_att_context {
    bool norm;                                   // residual and layer norm as well
    size_t B, H, N, d, D, rows;                  // rows: H K of the modulation
    flt_att_array weight[FLTX_CONTEXT_ARRAYS];   // in the order of FLTX_ATT_CONTEXT_ARGS; gain and offset with norm alone
    double *sum[FLTX_CONTEXT_ARRAYS];            // gradients of a pass, in their shapes (backward plans)
    double *mean, *before, *hidden, *modulation; // [D], [D], [D], [rows] of the sequence at work
    double *dmean, *dhidden;                     // [D]
} flt_att_context;

flt_err flt_att_context_read(const flt_attention_desc *desc, bool norm, flt_att_context *out);
void flt_att_context_drop(flt_att_context *c);
void flt_att_context_bind(flt_att_context *c, bool backward, flt_ws *ws);
void flt_att_context_arrays(flt_att_context *c, flt_att_arrays *to);
void flt_att_context_list(const flt_att_context *c, size_t max, flt_attention_arg *out, size_t *n);

// c->modulation of sequence b; x [B, H, N, d].
void flt_att_context_modulate(flt_att_context *c, size_t b, const flt_real *x);
// y = norm(x + y), all of [B, H, N, d].
void flt_att_context_norm(const flt_att_context *c, const flt_real *x, flt_real *y);

// ---- backward
void flt_att_context_back_begin(flt_att_context *c); // clears the sums
// Through the norm: y holds s - x, the mixing's output, and becomes ds from dout.
void flt_att_context_norm_back(flt_att_context *c, const flt_real *x, const flt_real *dout, flt_real *y);
// dx of sequence b += through its modulation, whose gradient is dmod [rows]; modulate came before.
void flt_att_context_modulate_back(flt_att_context *c, size_t b, const double *dmod, flt_real *dx);
bool flt_att_context_gather(const flt_att_context *c, const flt_attention_gradient *to); // false: not one of its arguments

#endif
