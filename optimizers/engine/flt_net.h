// SPDX-License-Identifier: MIT
// Sizes of the flt optimizer and where its meta-parameters lie in theta.
#ifndef FLTX_OPTIMIZERS_FLT_NET_H
#define FLTX_OPTIMIZERS_FLT_NET_H

#include "flt/objective.h"
#include "flt/params.h"
#include "flt/tensorfile.h"

enum {
    FLTX_NET_FEATURES = 30, // inputs of a coordinate: Celo2's, see engine/flt_reference.c for their order
    FLTX_NET_OUTPUTS = 2,   // direction and magnitude
    FLTX_NET_MAX_HIDDEN = 8,
};

// Widths: width[0] = features + heads dv, then the hidden layers, then FLTX_NET_OUTPUTS. Layer i maps width[i] to width[i + 1].
typedef struct flt_net {
    size_t heads, m, dk, dv, r;
    size_t n_layers; // hidden layers + 1
    size_t width[FLTX_NET_MAX_HIDDEN + 2];
    bool lr_time;     // theta ends with log_lr [2]
    double lr, t_ref; // rate and time scale of the positions
    // offsets in theta
    size_t wq, wk, wv;                 // [heads, features, dk], .., [heads, features, dv]
    size_t xi, rho;                    // [heads, r, 1], [heads, r]
    size_t omega;                      // [heads, m, dk + 2 r]
    size_t tau;                        // [heads]
    size_t w[FLTX_NET_MAX_HIDDEN + 1]; // [width[i], width[i + 1]]
    size_t b[FLTX_NET_MAX_HIDDEN + 1]; // [width[i + 1]]
    size_t log_lr;                     // [2], when lr_time
    size_t total;
} flt_net;

// The parameter table of the kind "flt".
extern const flt_param_spec flt_net_params[];

// Errors: FLTE_USAGE or FLTE_RANGE for a malformed list of widths.
flt_err flt_net_make(const flt_params *p, flt_net *out);
flt_err flt_net_layout(const flt_params *p, flt_layout *theta);
// Sizes from the shapes of a weight file. FLTE_FORMAT, FLTE_SHAPE.
flt_err flt_net_infer(const flt_tensors *weights, flt_params *p);
// An untrained network whose direction is the rms-normalised momentum m rsqrt(v): it trains like Adam without bias correction.
void flt_net_init(const flt_params *p, uint64_t seed, flt_real *theta);

// log(1 + t) / log(1 + t_ref)
double flt_net_position(const flt_net *n, uint64_t t);
// The rate of step t: lr, times exp(log_lr[0] + log_lr[1] position) with lr_time.
double flt_net_rate(const flt_net *n, const flt_real *theta, uint64_t t);

#endif
