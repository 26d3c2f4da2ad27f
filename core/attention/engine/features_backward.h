// SPDX-License-Identifier: MIT
// Gradients through the random projection of features.h. Private to core/attention.
//
//     dq_i = dlq_i omega / d^(1/4),   dk_j = dlk_j omega / d^(1/4) - k_j (sum_f dlk_jf) / sqrt d
//     domega = dlq^T [x, a] + dlk^T [x, b],   [da, db] = [dlq, dlk] omega (its part for snippets),   then drho and dxi through
//     the snippets a = r^-1/2 rho (cos, sin), b = r^-1/2 (cos, sin) of 2 pi xi.pos
//
// relu: d/dt log(max(t, 0) + 1e-3). favor++ and centring, where B = gain multiplies omega [x, a] and the keys' features carry 2 A
// |omega|^2 - B omega.mid + mid.[y, b], mid the means of both sides: sums over a head for A, B and mid, then from there to every
// row through the means and the measured spread.
//
// What the log features leave out is constant along a row or over all keys, hence has no gradient after normalisation.
// Sums over rows are gathered in double for each of B H, by up to four tiles at once for omega, then added up in that order:
// their bits do not depend on threads.
#ifndef FLTX_ATTENTION_FEATURES_BACKWARD_H
#define FLTX_ATTENTION_FEATURES_BACKWARD_H

#include "features.h"
#include "linear_backward.h"

typedef struct flt_att_features_back flt_att_features_back;

// As flt_att_features_create; omega and what snippets point to are borrowed.
flt_err flt_att_features_back_create(const flt_attention_desc *desc, const flt_att_array *omega, const flt_att_snippets *snippets,
                                     flt_att_features_back **out);
// The forward map, where it may measure or is not an exponential.
void flt_att_features_back_follow(flt_att_features_back *a, const flt_att_features *map);
void flt_att_features_back_update(flt_att_features_back *a); // omega holds new values; NULL: nothing to do
void flt_att_features_back_destroy(flt_att_features_back *a);
flt_att_back_map flt_att_features_back_map(flt_att_features_back *a);
size_t flt_att_features_back_workspace(const flt_att_features_back *a); // 0 for NULL

// Clears the sums of "omega", of xi and the ratios, as they are wanted; the others are skipped.
void flt_att_features_back_begin(flt_att_features_back *a, bool omega, bool snippets);
// The sums of a whole pass in the argument's own shape (shared by the heads: added up over them).
void flt_att_features_back_omega(const flt_att_features_back *a, double *domega);
void flt_att_features_back_rho(const flt_att_features_back *a, bool query, double *drho); // [H, r], of one side
void flt_att_features_back_xi(const flt_att_features_back *a, const flt_att_array *shape, double *dxi);

#endif
