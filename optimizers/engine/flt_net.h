// SPDX-License-Identifier: MIT
// Sizes of the flt optimizer and where its meta-parameters lie in theta.
#ifndef FLTX_OPTIMIZERS_FLT_NET_H
#define FLTX_OPTIMIZERS_FLT_NET_H

#include "engine/schedule.h"
#include "flt/objective.h"
#include "flt/params.h"
#include "flt/tensorfile.h"

enum {
    FLTX_NET_FEATURES = 30, // inputs of a coordinate: Celo2's, see engine/flt_reference.c for their order
    FLTX_NET_RAW = 6,       // with inputs=raw: g, clip(g), p, v, rs, g rs alone
    FLTX_NET_DECAYS = 3,    // of momentum
    FLTX_NET_ADAPT = 3,     // of form=adaptive: gain, threshold, power of the parameters' size
    FLTX_NET_OUTPUTS = 2,   // direction and magnitude
    FLTX_NET_MAX_HIDDEN = 8,
};

// What attention remembers, and how a read weighs token s at step t.
typedef enum flt_memory {
    FLTX_MEMORY_FLT,       // kernel features of [q, a_t] and [k, b_s], discount e^-tau(t-s)
    FLTX_MEMORY_PERFORMER, // kernel features of q and k
    FLTX_MEMORY_DISCOUNT,  // kernel features of q and k, discount
    FLTX_MEMORY_WINDOW,    // exp(<q, k> + <a_t, b_s> - tau (t - s)) exactly, over the last `window` tokens
    FLTX_MEMORY_SPE_SINE,  // kernel features of q and k times random codes of t and s (sineSPE), discount
    FLTX_MEMORY_NONE,      // no attention: the network alone
} flt_memory;

// Widths: width[0] = features + heads dv + times, then the hidden layers, then FLTX_NET_OUTPUTS. Layer i maps width[i] to width[i
// + 1].
typedef struct flt_net {
    size_t heads, m, dk, dv, r;
    size_t n_layers; // hidden layers + 1
    size_t width[FLTX_NET_MAX_HIDDEN + 2];
    flt_memory memory;
    bool raw, clock, linear; // features: 6; the network sees the time; position t / t_ref
    bool fixed_spectrum, fixed_omega;
    bool eigen;                   // matrices are stepped in their gradients' eigenbasis,
    uint64_t turn;                // which is iterated every so many steps
    bool lr_time, adam, adaptive; // theta ends with log_lr [2], with snr [3], with adapt [3]
    double lr, t_ref;             // rate and time scale of the positions
    double warmup, settle;        // steps: the rate's linear rise; half speed of adapt; 0: none
    flt_schedule schedule;        // of the rate behind the rise, down to the share
    double final;                 // `final`
    uint64_t end;                 // at this step; 0: at the run's last one
    size_t features, D;           // inputs of a coordinate; width of omega's rows
    size_t window, R;             // tokens of FLTX_MEMORY_WINDOW, draws of FLTX_MEMORY_SPE_SINE
    uint64_t draw;                // names the fixed random features
    // offsets in theta, or behind it (at `total` and above) for what is fixed
    size_t wq, wk, wv;                 // [heads, features, dk], .., [heads, features, dv]
    size_t xi, rho;                    // [heads, r, 1], [heads, r]; spe_sine: [heads, dk, r] each, rho its gains
    size_t phase, noise;               // spe_sine: [heads, dk, r], [heads, dk, 2 r, R]
    size_t omega;                      // [heads, m, D]
    size_t tau;                        // [heads]
    size_t w[FLTX_NET_MAX_HIDDEN + 1]; // [width[i], width[i + 1]]
    size_t b[FLTX_NET_MAX_HIDDEN + 1]; // [width[i + 1]]
    size_t log_lr;                     // [2], when lr_time
    size_t snr;                        // [3], when adam
    size_t adapt;                      // [3], when adaptive
    size_t total, full;                // meta-parameters; with what is fixed behind them
} flt_net;

// Relative encodings <a_t, b_s> are part of the memory; a discount is; kernel features are.
static inline bool flt_net_encodes(const flt_net *n) {
    return n->memory == FLTX_MEMORY_FLT || n->memory == FLTX_MEMORY_WINDOW;
}
static inline bool flt_net_discounts(const flt_net *n) {
    return n->memory != FLTX_MEMORY_PERFORMER && n->memory != FLTX_MEMORY_NONE;
}
static inline bool flt_net_kernel(const flt_net *n) {
    return n->memory != FLTX_MEMORY_WINDOW && n->memory != FLTX_MEMORY_NONE;
}

// The parameter table of the kind "flt".
extern const flt_param_spec flt_net_params[];

// Errors: FLTE_USAGE or FLTE_RANGE for a malformed list of widths, FLTE_UNSUPPORTED for options that exclude each other.
flt_err flt_net_make(const flt_params *p, flt_net *out);
flt_err flt_net_layout(const flt_params *p, flt_layout *theta);
// Sizes from the shapes of a weight file. FLTE_FORMAT, FLTE_SHAPE.
flt_err flt_net_infer(const flt_tensors *weights, flt_params *p);
// An untrained network whose direction is the rms-normalised momentum m rsqrt(v): it trains like Adam without bias correction.
void flt_net_init(const flt_params *p, uint64_t seed, flt_real *theta);

// What is fixed, at full + n->total: frequencies at the quantiles (i + 1/2) / r of N(0, 1), weights 1, random features of `draw`.
flt_err flt_net_fix(const flt_net *n, flt_real *full);

// What form=adaptive multiplies a tensor's rate by, e^A size^adapt[2]. A (*log_rate, kept by the tensor) moves first:
//     A += 0.1 adapt[0] settle / (settle + t) (agreement - 0.1 adapt[1]),  -8 <= A <= 2       settle = 0: at full speed for ever
// With it a rate that always has to fall does so as a power of time, whatever the horizon, and without it exponentially.
// agreement: cos(g rs, m rs), m the momentum of decay 0.9 before this step's gradient; while it is positive the rate was too low.
// size: (mean p^2 + 0.01 mean p^2 over all tensors + 1e-12)^1/2.
double flt_net_adapt(const flt_net *n, const double *adapt, uint64_t t, double agreement, double size, double *log_rate);

// log(1 + t) / log(1 + t_ref), or t / t_ref
double flt_net_position(const flt_net *n, uint64_t t);
// The rate of step t of a run of `steps` (0: not known): lr along its schedule (flt_rate_at), which ends at step `total` or with
// the run and stays constant where neither is known; times exp(log_lr[0] + log_lr[1] position) with lr_time.
double flt_net_rate(const flt_net *n, const flt_real *theta, uint64_t steps, uint64_t t);

#endif
