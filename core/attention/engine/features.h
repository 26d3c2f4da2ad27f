// SPDX-License-Identifier: MIT
// Softmax features by random projection, with or without positional snippets beside the input. Private to core/attention.
//
//     lq = omega [x, a_i] (- row constants),   lk = omega [x, b_j] - |x|^2/2,   x = q/d^(1/4), k/d^(1/4)
//
// omega [m, d + 2r]; its part for the snippets meets positions alone: see snippets.h.
// |b_j|^2 is the same for every key and cancels; |a_i|^2 is constant along a row and cancels.
#ifndef FLTX_ATTENTION_FEATURES_H
#define FLTX_ATTENTION_FEATURES_H

#include "args.h"
#include "linear.h"
#include "snippets.h"

#define FLTX_ATT_FEATURES_PARAM                                                                                                  \
    {                                                                                                                            \
        "features", FLTX_ENUM, "positive", 0, 0, "positive|hyperbolic",                                                          \
            "positive: exp(omega x), m features; hyperbolic: exp(+-omega x), 2 m features of lower variance"                     \
    }
// All forms, with what some of them add.
#define FLTX_ATT_ALL_FEATURES_PARAM                                                                                              \
    {                                                                                                                            \
        "features", FLTX_ENUM, "positive", 0, 0, "positive|hyperbolic|relu|favor++",                                             \
            "positive: exp(omega x); hyperbolic: exp(+-omega x), 2 m features; favor++: exp(A |omega|^2 + B omega x) of least "  \
            "variance; "                                                                                                         \
            "relu: max(omega x / sqrt m, 0) + 1e-3, not softmax"                                                                 \
    }
#define FLTX_ATT_CENTRE_PARAMS                                                                                                   \
    {"centre",                                                                                                                   \
     FLTX_ENUM,                                                                                                                  \
     "none",                                                                                                                     \
     0,                                                                                                                          \
     0,                                                                                                                          \
     "none|mean",                                                                                                                \
     "mean: take their means off q and k, which changes the variance alone; not causal, not relu"},                              \
    {                                                                                                                            \
        "spread", FLTX_REAL, "0", 0, 1e6, NULL,                                                                                  \
            "favor++: the mean of |q + k|^2 / sqrt d it is tuned to; 0: measured, or 2 sqrt d when causal"                       \
    }
#define FLTX_ATT_DRAW_PARAM                                                                                                      \
    {                                                                                                                            \
        "draw", FLTX_ENUM, "orthogonal", 0, 0, "orthogonal|iid",                                                                 \
            "rows of omega, when it is drawn: orthogonal in blocks, or independent"                                              \
    }
#define FLTX_ATT_M_PARAM                                                                                                         \
    { "m", FLTX_INT, "128", 1, 1 << 20, NULL, "rows of omega, when it is drawn" }

typedef struct flt_att_features flt_att_features;

// Forms beside the plain ones, chosen by the parameters of those mechanisms that declare them:
//     features=relu     lq = log(max(omega x / sqrt m, 0) + 1e-3): not softmax
//     features=favor++  exp(A |omega|^2 + B omega x - |x|^2/2), B^2 = 1 - 4A, A <= 0 of least variance at |q + k|^2/sqrt d =
//     spread centre=mean       q - mean q, k - mean k in their place; exact for softmax: the row factor cancels, the key's is a
//     weight
// With snippets they stand beside x in all of it: |omega|^2, the spread and the means are those of [x, a].
// Both of the latter are measured on the whole sequence (not when causal: then spread is a number, and centring is refused).

// omega [m, d + 2r] is used in the form of the parameter `features`. snippets: NULL for none.
flt_err flt_att_features_create(const flt_attention_desc *desc, const flt_att_array *omega, const flt_att_snippets *snippets,
                                flt_att_features **out);
// Takes the values that omega, xi and the ratios hold now; `omega`: it changed as well.
void flt_att_features_update(flt_att_features *a, const flt_att_array *omega);
void flt_att_features_destroy(flt_att_features *a);

typedef enum flt_att_form { FLTX_ATT_POSITIVE, FLTX_ATT_HYPERBOLIC, FLTX_ATT_RELU, FLTX_ATT_FAVORPP } flt_att_form;

// What the map has measured on the head at work on a thread, for its gradients.
typedef struct flt_att_measured {
    flt_att_form form;
    bool centred;
    double a, gain, slope;  // A, B; dA/dspread, 0 where the spread is given
    const double *middle;   // [2, d]: mean q + mean k; mean k
    const double *snippets; // [2, 2r]: mean a + mean b; mean b
} flt_att_measured;
flt_att_measured flt_att_features_measured(const flt_att_features *a, size_t thread, size_t head);

flt_att_map flt_att_features_map(const flt_att_features *a);
size_t flt_att_features_workspace(const flt_att_features *a);

// Reads `omega` [m, width] or draws it orthogonal for each head; m from the argument or the parameter.
flt_err flt_att_omega(const flt_attention_desc *desc, size_t width, flt_att_array *out);

#endif
