// SPDX-License-Identifier: MIT
// Gradients of attention with a factor a lag; see lagged.h for the forward form. Private to core/attention.
//
//     P_ij = A_ij / sum_j A_ij,   dL_ij = P_ij (dout_i.v_j - dout_i.out_i): the gradient of log A_ij
//     dlq_if = sum_j dL_ij p_ijf,  dlk_jf = sum_i dL_ij p_ijf,  p_ijf = exp(lq_if + lk_jf) / sum_f exp(lq_if + lk_jf)
//     dv_j = sum_i P_ij dout_i,    db_z = sum over j - i = z of dL_ij
//
// As in the forward pass direct by tiles, or by transforms: with g_i = [dout_i, -dout_i.out_i] and y_j = [v_j, 1] all sums over i
// or j of e^{b_{j-i}} are dv + 1 convolutions of g phi_f or y psi_f for each feature, and db the sum of the products of their
// spectra. With clipped lags by sweeps on either side of a band, unless the gradient of the lags is wanted. The rows' sums are
// formed anew first; rows that are flagged then are left out of the transforms and done directly. Time directly 3 m + 2 dv
// multiplications a pair of tokens, to the forward pass's m + dv: products of features are kept between the rows' sums and the
// gradients (up to 4 MiB a thread); by transforms twice that of the forward pass, six times where the gradient of the lags is
// wanted, whose columns go one by one: up to several thousand tokens tiles are then faster and are taken. Memory O(N (m + dv)) a
// thread; lags: 2N - 1 doubles for each of B H.
#ifndef FLTX_ATTENTION_LAGGED_BACKWARD_H
#define FLTX_ATTENTION_LAGGED_BACKWARD_H

#include "lagged.h"

typedef struct flt_att_lagged_back_slot { // one thread's
    flt_real *dlq, *dlk;                  // [N, m]: what a run leaves
    flt_real *norm, *term;                // [N]: logarithm of the row's sum, dout.out
    flt_real *high, *base;                // [tile]: logarithms of the rows' scales, and less those of their sums
    flt_real *ds, *dl;                    // [tile, tile]
    flt_real *kept;                       // direct: [kept, tile, tile]: products of features of one tile of rows
    flt_real *scale;                      // [tiles, m]: of tiles of keys
    flt_real *dpsi;                       // [N, m]: what features of keys under these scales are multiplied with in dlk
    flt_real *dphi;                       // [tile, m]: the same of queries
    flt_real *e, *room;                   // band: [tile, m]
    flt_real *gt;                         // fft: [dv, N]: dout, transposed
    flt_real *dcolq, *dcolk;              // fft: [N]
    flt_real *dtheta, *dgroup;            // fft: [N, width]: of some features of queries and keys, by the denominators
    flt_real *keep, *cross;               // fft: [size + 2]: a spectrum of keys; products of spectra
} flt_att_lagged_back_slot;

typedef struct flt_att_lagged_back {
    const flt_att_lagged *a;
    size_t H, BH, kept; // kept: tiles
    bool want_lags;
    double *dlags; // [B H, 2N - 1]
    flt_att_lagged_back_slot *slots;
    flt_ws ws;
} flt_att_lagged_back;

// The arrays of one head, and where it stands.
typedef struct flt_att_lagged_pass {
    size_t thread, bh;
    const flt_real *v, *out, *dout; // [N, dv]
    flt_real *dv;
} flt_att_lagged_pass;

// *out stays NULL where the description asks for no backward pass.
flt_err flt_att_lagged_back_create(const flt_attention_desc *desc, const flt_att_lagged *a, flt_att_lagged_back **out);
void flt_att_lagged_back_destroy(flt_att_lagged_back *b);
void flt_att_lagged_back_begin(flt_att_lagged_back *b, bool lags); // clears the sums of lags, when they are wanted
// From the log features in the thread's slot of the forward plan to dlq and dlk in that of this one.
void flt_att_lagged_back_run(flt_att_lagged_back *b, const flt_att_lagged_pass *p);
size_t flt_att_lagged_back_workspace(const flt_att_lagged_back *b); // 0 for NULL

#endif
