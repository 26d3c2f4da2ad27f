// SPDX-License-Identifier: MIT
// Clipped lags: a band and running sums of what lies beyond it; see lagged.h. Private to core/attention.
//
// Tiles of rows and of keys are far apart when more than w = ceil(W / tile) tiles lie from one to the other: then all their lags
// are beyond the reach W and have one factor. Far keys add up in a state sum_j exp(lk_j - c) [v_j, 1] as a sweep moves on, from
// the left for the past, from the right for the future. The scales c rise with the keys, so that the sum of each feature is at
// least 1. Backward the same sweeps with keys for the rows and with rows for the keys; no exponent exceeds zero, as P_ij <= 1.
#ifndef FLTX_ATTENTION_LAGGED_BAND_H
#define FLTX_ATTENTION_LAGGED_BAND_H

#include "lagged_direct.h"

size_t flt_att_lagged_reach(const flt_att_lagged *a); // smallest W beyond which the factors loaded are constant on either side
// v, out NULL: sums alone.
void flt_att_lagged_band(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out);

// ---- for the backward pass
typedef struct flt_att_sweep { // one direction; rows first .. first + n - 1 are a tile of what is absorbed, or answered
    void *self;
    void (*absorb)(void *self, size_t first, size_t n);
    void (*answer)(void *self, size_t first, size_t n, flt_real bias);
} flt_att_sweep;
// The state is cleared, then for each tile, from the left or from the right, what is far behind it is absorbed and it is
// answered.
void flt_att_lagged_sweep(const flt_att_lagged *a, flt_att_lagged_slot *w, bool right, flt_real bias, const flt_att_sweep *s);
flt_att_span flt_att_lagged_near(const flt_att_lagged *a, size_t first); // keys that are not far from the tile of rows at `first`
flt_real flt_att_lagged_far_bias(const flt_att_lagged *a, size_t head, bool future);

// Adds rows of logarithms u [n, m] (overwritten) with values x [n, dv], NULL: none, and y [n], NULL: ones, to the state.
void flt_att_lagged_absorb(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t n, flt_real *u, const flt_real *x,
                           const flt_real *y);

#endif
