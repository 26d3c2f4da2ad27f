// SPDX-License-Identifier: MIT
// Planted bugs: a check that catches nothing proves nothing, so the tests build a second copy of the library in which each of these
// mistakes can be switched on, and see the check that is meant for it fail. In every other build FLTX_BUG is the constant false.
#ifndef FLTX_PLANT_H
#define FLTX_PLANT_H

// X(name, what is done wrong, check that must catch it)
#define FLTX_BUGS(X)                                                                               \
    X(DROPPED_SCALE, "logits are not divided by sqrt(d)", "oracle")                                \
    X(FUTURE_LEAK, "causal attention sees one position ahead", "causality")                        \
    X(FFT_SIGN, "the forward transform has the sign of the inverse", "fourier")                    \
    X(FFT_SCALE, "the inverse transform is not divided by N", "fourier")                           \
    X(SWAPPED_SNIPPET, "cosine and sine change places in the query's snippet only", "encoding")    \
    X(LAG_OFF_BY_ONE, "a lag table is read one entry too far", "oracle")                           \
    X(DROPPED_KEY_NORM, "positive features of keys lack exp(-|k|^2 / 2)", "oracle")                \
    X(SHARED_OMEGA, "every head reads the projection of head 0", "oracle")                         \
    X(STALE_STATE, "the running state is not rescaled when the key scale grows", "oracle")                           \
    X(BACKWARD_STALE_STATE, "the reverse state is not rescaled when the key scale falls back", "gradient") \
    X(BACKWARD_NO_ROW_TERM, "the backward pass forgets the gradient of the denominator", "gradient") \
    X(BACKWARD_NO_KEY_NORM, "the backward pass forgets exp(-|k|^2 / 2)", "gradient")

#define FLTX_BUG_ENUM(name, what, check) FLTX_BUG_##name,
typedef enum flt_bug { FLTX_BUG_NONE, FLTX_BUGS(FLTX_BUG_ENUM) FLTX_N_BUGS } flt_bug;
#undef FLTX_BUG_ENUM

#ifdef FLTX_PLANTED
extern flt_bug flt_planted;
#define FLTX_BUG(name) (flt_planted == FLTX_BUG_##name)
#else
#define FLTX_BUG(name) 0
#endif

#endif
