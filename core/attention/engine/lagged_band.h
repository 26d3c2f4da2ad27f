// SPDX-License-Identifier: MIT
// Clipped lags: a band and running sums of what lies beyond it; see lagged.h. Private to core/attention.
//
// Tiles of keys of which every one is more than W behind every row of a tile of rows add up in a state sum_j exp(lk_j - c) [v_j,
// 1], which counts with the factor of the far past; the same from the other end for the far future. The scales c rise with the
// keys, so that the state of each feature is at least 1.
#ifndef FLTX_ATTENTION_LAGGED_BAND_H
#define FLTX_ATTENTION_LAGGED_BAND_H

#include "lagged.h"

size_t flt_att_lagged_reach(const flt_att_lagged *a); // smallest W beyond which the factors loaded are constant on either side
void flt_att_lagged_band(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out);

#endif
