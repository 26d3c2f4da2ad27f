// SPDX-License-Identifier: MIT
// From losses of the two arms to the weights that perturbations get in the gradient.
//
// d_ik = L+_ik - L-_ik, sums over the s_ik steps of part k of particle i; x_ik = d_ik / s_ik.
//     plain  w_ik = d_ik
//     rms    w_ik = d_ik / r,  r^2 = sum s_ik x_ik^2 / sum s_ik over all particles and parts (r = 0: w = d)
//     sign   w_ik = s_ik sign(x_ik): tasks of any scale count alike
// and with a bound c > 0 on the first two: w_ik = s_ik min(max(w_ik / s_ik, -c), c). Sums run over particles in their order.
#ifndef FLTX_DIFFERENCE_H
#define FLTX_DIFFERENCE_H

#include "particles.h"

typedef struct flt_difference {
    size_t kind;
    double clip; // 0: none
} flt_difference;

// Errors: FLTE_USAGE (unknown name), FLTE_RANGE.
flt_err flt_difference_make(const flt_meta_config *c, flt_difference *out);
// loss [P, 2, K] to weight [P, K].
void flt_difference_weigh(const flt_difference *d, const flt_particles *p, const double *loss, double *weight);

#endif
