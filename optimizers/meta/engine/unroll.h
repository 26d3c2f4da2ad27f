// SPDX-License-Identifier: MIT
// Exact gradients of unrolls in theta, second-order terms included: how theta changed the parameters at which later gradients
// were taken counts as well.
//
// With step t (p', s') = step(theta, t, p_t, g_t, s_t), g_t the gradient of minibatch t at p_t, and sum_t c_t loss_t(p_t):
//     lambda_p(t) = dy/dp + H_t dy/dg + c_t g_t,  lambda_s(t) = dy/ds,  gradient += dy/dtheta,
//     y = <lambda_p(t + 1), p'> + <lambda_s(t + 1), s'>
// backwards over the window, from zero at its end: what the window's last state does later is not seen. The start counts as
// given. held_out: loss_t, and its gradient beside c_t, are of validation minibatch t. Memory O(sqrt(W) (P + words)): states are
// kept every sqrt(W) steps, those between are made again. Cost: about 2 steps forward, and one backward through the step's graph
// with one product of the Hessian, per step.
#ifndef FLTX_UNROLL_H
#define FLTX_UNROLL_H

#include "flt/objective.h"
#include "flt/optimizer.h"

typedef struct flt_unroll flt_unroll; // used by one thread at a time

// `objective` is borrowed. Errors: FLTE_UNSUPPORTED (no graph of the optimizer, no Hessian of the task), FLTE_NOMEM.
flt_err flt_unroll_create(const flt_weights *w, flt_objective *objective, size_t longest, flt_unroll **out);
void flt_unroll_destroy(flt_unroll *u);       // NULL is fine
size_t flt_unroll_words(const flt_unroll *u); // of the state, in a layout of its own
void flt_unroll_bind(flt_unroll *u, const flt_real *theta);

// Fresh parameters and state of the run that `seed` names.
void flt_unroll_start(flt_unroll *u, uint64_t seed, flt_real *param, flt_real *state);
// A window of that run begins, at step t; it has at most `longest` steps.
void flt_unroll_open(flt_unroll *u, uint64_t seed, uint64_t t);
// The next step of the window: returns the loss from before the update, which is made when the loss is finite.
flt_real flt_unroll_step(flt_unroll *u, flt_real *param, flt_real *state);
typedef struct flt_unroll_sum { // sum over the window's steps of slope[i] loss_i
    const double *slope;        // [steps made]
    bool held_out;
    bool (*stop)(void *with); // asked before each step back; may be NULL
    void *with;
} flt_unroll_sum;

// gradient [n] += the derivative of the sum. False, with an unspecified gradient, when `stop` said so.
bool flt_unroll_gradient(flt_unroll *u, const flt_unroll_sum *sum, double *gradient);

#endif
