// SPDX-License-Identifier: MIT
// Planted bugs: a check that catches nothing proves nothing, so the tests build a second copy of the library in which each of
// these mistakes can be switched on, and see the check that is meant for it fail. In every other build FLTX_BUG is the constant
// false. Not installed.
#ifndef FLTX_PLANT_H
#define FLTX_PLANT_H

// X(name, what is done wrong, mechanism that the check is run with ("" for checks of the ground), check that must catch it)
#define FLTX_BUGS(X)                                                                                                             \
    X(DROPPED_SCALE, "logits are not divided by sqrt(d)", "exact", "oracle")                                                     \
    X(FUTURE_LEAK, "causal attention sees one position ahead", "exact", "causality")                                             \
    X(LAG_OFF_BY_ONE, "a lag table is read one entry too far", "exact", "oracle")                                                \
    X(STALE_SUM, "the sum of a row is not rescaled when its maximum grows", "exact", "adversarial")                              \
    X(NO_MAXIMUM, "weights are exponentials of logits without their maximum taken off", "exact", "adversarial")                  \
    X(HALF_HIDDEN, "a bias of -infinity becomes -10", "exact", "padding")                                                        \
    X(UNCOUNTED_ROW, "a row that sees no key is not flagged", "exact", "padding")                                                \
    X(FIRST_TILE_POSITIONS, "keys of later tiles take the positions of the first", "exact", "permutation")                       \
    X(FORWARD_ALLOCATES, "the forward pass allocates its room", "exact", "allocation")                                           \
    X(ELU_NO_ONE, "elu + 1 lacks its 1 for positive inputs", "linear", "oracle")                                                 \
    X(CHUNK_OFF_BY_ONE, "the state between chunks misses each chunk's last row", "linear", "streaming")                          \
    X(LOST_TOKENS, "a stream drops a tileful of denominators when it adds them up", "linear", "streaming")                       \
    X(STALE_BEGIN, "a stream that begins again keeps its old state", "linear", "streaming")                                      \
    X(KEPT_STATE, "the state of one head is not cleared before the next", "linear", "batching")                                  \
    X(EPSILON_ADDED, "a small number is added to every denominator", "linear", "linearity")                                      \
    X(DROPPED_KEY_NORM, "positive features of keys lack exp(-|k|^2 / 2)", "performer", "oracle")                                 \
    X(SHARED_OMEGA, "every head reads the projection of head 0", "performer", "oracle")                                          \
    X(STALE_STATE, "the running state is not rescaled when the key scale grows", "performer", "oracle")                          \
    X(FAVOR_A, "A of favor++ is twice what it should be", "performer", "oracle")                                                 \
    X(OMEGA_LENGTH, "orthogonal rows all have the length sqrt(d)", "performer", "kernel")                                        \
    X(REPEATED_BLOCK, "every block of orthogonal rows is the first", "performer", "kernel")                                      \
    X(SHARED_SEED, "every head draws its projection from the stream of head 0", "performer", "kernel")                           \
    X(LOST_SIGN, "hyperbolic features take exp(omega x) twice", "performer", "kernel")                                           \
    X(REPEATED_ROWS, "independent rows repeat after the first sixteen", "", "convergence")                                       \
    X(RATIO_BOTH_SIDES, "the ratio rho stands on the side of the keys, too", "flt", "oracle")                                    \
    X(STALE_MIDDLE, "projected positions are formed around the middle of an earlier tile", "flt", "oracle")                      \
    X(LATE_POSITION, "a stream takes the position of the next token", "flt", "streaming")                                        \
    X(SINGLE_PHASE, "phases are reduced in single precision", "", "encoding")                                                    \
    X(HALF_RULE, "quadrature forgets the negative frequencies", "flt", "mask")                                                   \
    X(NO_SCRAMBLE, "Halton points are not permuted", "flt", "mask")                                                              \
    X(SHARED_FREQUENCIES, "every head draws its frequencies from the stream of head 0", "flt", "mask")                           \
    X(SWAPPED_SNIPPET, "cosine and sine change places in the query's snippet only", "", "encoding")                              \
    X(WRONG_DIMENSION, "a mixture's amplitude is that of one dimension", "exact", "closed_form")                                 \
    X(BUCKET_OFF_BY_ONE, "logarithmic buckets start one bucket late", "exact", "closed_form")                                    \
    X(REWARD_FOR_DISTANCE, "the penalty on distance has the wrong sign", "exact", "closed_form")                                 \
    X(PHASE_ON_KEYS, "phases turn the codes of keys as well", "spe_sine", "template")                                            \
    X(LOST_HALF, "sines are divided by sqrt(K), not sqrt(2K)", "spe_sine", "template")                                           \
    X(GATE_TURNED, "the gate gives its share to the wrong side", "spe_sine", "template")                                         \
    X(SWAPPED_FILTERS, "the filters of queries and keys change places", "spe_conv", "template")                                  \
    X(WRAPPED, "the Toeplitz product is not padded and wraps around", "nprf", "oracle")                                          \
    X(UNNORMALISED, "queries and keys keep their length", "nprf", "oracle")                                                      \
    X(TRUSTED_DENOMINATOR, "rows that a transform has spoilt are kept", "nprf", "adversarial")                                   \
    X(LOST_KEY_WEIGHT, "keys lack the weight that makes up for centring", "taylor", "oracle")                                    \
    X(WHOLE_SQUARE, "squares among second-order features lack 1/sqrt(2)", "taylor", "taylor")                                    \
    X(QUADRATIC_ROOM, "the workspace has a room of N^2 / 16 numbers", "taylor", "scaling")                                       \
    X(REPEATED_FREQUENCIES, "frequencies repeat after the first eight", "flt", "slope")                                          \
    X(THRESHOLD_SIGN, "the threshold is taken off with the wrong sign", "fftnet", "oracle")                                      \
    X(REAL_PART, "the filter keeps the real part of the spectrum alone", "fftnet", "translation")                                \
    X(ENERGY_LOST, "the orthonormal scale is applied once, not twice", "fftnet", "decomposition")                                \
    X(DCT_CONSTANT, "the constant of the cosine transform is scaled as the other terms", "fourier", "decomposition")             \
    X(UNCUT, "frequencies that were dropped come back on lengthening", "fourier", "oracle")                                      \
    X(FFT_SIGN, "the forward transform has the sign of the inverse", "", "fourier")                                              \
    X(FFT_SCALE, "the inverse transform is not divided by N", "", "fourier")                                                     \
    X(BACKWARD_NO_SCALE, "gradients of queries lack 1/sqrt(d)", "exact", "gradient")                                             \
    X(BACKWARD_NO_ROW_TERM, "the backward pass forgets the gradient of the denominator", "exact", "gradient")                    \
    X(BACKWARD_ELU, "elu + 1 is differentiated as if it were exp", "linear", "gradient")                                         \
    X(BACKWARD_STALE_STATE, "the reverse state is not rescaled when the key scale falls back", "performer", "gradient")          \
    X(BACKWARD_NO_KEY_NORM, "the backward pass forgets exp(-|k|^2 / 2)", "flt", "gradient")                                      \
    X(BACKWARD_QUERY_CODE, "the backward pass codes keys as queries", "spe_conv", "gradient")                                    \
    X(BACKWARD_ALONG, "gradients of normalised rows keep their part along the row", "nprf", "gradient")                          \
    X(BACKWARD_PHASE, "the derivative of the cosine keeps its sign", "flt", "parameter")

#define FLTX_BUG_ENUM(name, what, mechanism, check) FLTX_BUG_##name,
typedef enum flt_bug { FLTX_BUG_NONE, FLTX_BUGS(FLTX_BUG_ENUM) FLTX_N_BUGS } flt_bug;
#undef FLTX_BUG_ENUM

#ifdef FLTX_PLANTED
extern flt_bug flt_planted;
#define FLTX_BUG(name) (flt_planted == FLTX_BUG_##name)
#else
#define FLTX_BUG(name) 0
#endif

#endif
