// SPDX-License-Identifier: MIT
// Gradients of linear attention over positive features; see linear.h for the forward form. Private to core/attention.
//
//     out_i = sum_j A_ij v_j / den_i,  A_ij = sum_f phi_if psi_jf
//     g_i = [dout_i, -dout_i.out_i] / den_i,  y_j = [v_j, 1]
//     S_f = sum_j psi_jf y_j (causal: over j <= i),  dlq_if = phi_if g_i.S_f
//     G_f = sum_i phi_if g_i (causal: over i >= j),  dlk_jf = psi_jf y_j.G_f
//     dv_j = sum_f psi_jf G_f (its first dv numbers)
//
// Causal plans walk forward with S alone and note it in front of every tile, then back with G and all gradients; nothing is ever
// subtracted (a state that is walked back by subtraction drifts in single precision). The scales of the key features are those of
// the forward pass, noted once a tile: they fall on the way back, so G shrinks with them and cannot overflow. Features of keys
// are kept for the way back as far as they fit 8 MiB a thread (in float). Time O(N F (d + dv)), ten products for the forward
// pass's four; memory O(F (dv + tile)) a thread, causal F dv N / tile beside it.
#ifndef FLTX_ATTENTION_LINEAR_BACKWARD_H
#define FLTX_ATTENTION_LINEAR_BACKWARD_H

#include "linear.h"

// The transposed feature map: du [count, F], the gradient of log features, becomes dx [count, d]; what a plan's own arguments get
// is added to the sums of head `bh` of B H. The forward map has been asked for these rows before, for queries' right before.
typedef struct flt_att_back_map {
    void *self;
    void (*queries)(void *self, flt_att_rows rows, size_t bh, const flt_real *x, const flt_real *du, flt_real *dx);
    void (*keys)(void *self, flt_att_rows rows, size_t bh, const flt_real *x, const flt_real *du, flt_real *dx);
    // What the whole head has through `prepare` of the forward map, added to dq, dk [count, d]; NULL: nothing.
    void (*finish)(void *self, flt_att_rows all, size_t bh, const flt_real *q, const flt_real *k, flt_real *dq, flt_real *dk);
} flt_att_back_map;

typedef struct flt_att_linear_back flt_att_linear_back;

flt_err flt_att_linear_back_create(const flt_attention_desc *desc, flt_att_map map, flt_att_back_map back,
                                   flt_att_linear_back **out);
void flt_att_linear_back_destroy(flt_att_linear_back *a);
void flt_att_linear_back_run(flt_att_linear_back *a, const flt_attention_pass *pass);
size_t flt_att_linear_back_workspace(const flt_att_linear_back *a); // 0 for NULL

#endif
