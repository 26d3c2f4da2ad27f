// SPDX-License-Identifier: MIT
// Oracles in long double, plain loops, one head at a time: what is clever elsewhere must agree with what is plain here.
#ifndef FLTX_ORACLE_H
#define FLTX_ORACLE_H

#include "engine/problem.h"

// One head: logits or log-weights x [N, N] -> out [N, dv], rows normalised over the keys that the row may see. Returns the
// largest finite |x| that was used.
double flt_oracle_rows(const flt_problem *p, const long double *x, const flt_real *v, long double *out);

// x [N, N] = q k^T / sqrt(d) for one head.
void flt_oracle_logits(const flt_problem *p, const flt_real *q, const flt_real *k, long double *x);

// x [N, N] = log sum_f exp(lq[i, f] + lk[j, f]): the logarithm of an explicit feature kernel. lq, lk [N, m] are overwritten.
// Terms e^-11000 below the product of their rows' tops are lost; where all are, x is -infinity.
void flt_oracle_kernel(const flt_problem *p, size_t m, long double *lq, long double *lk, long double *x);

// out [n, m] = omega x - |x|^2 / 2: logarithms of FAVOR+ features without the common 1/sqrt(m); x [n, D], omega [m, D].
void flt_oracle_log_features(size_t n, size_t D, size_t m, const long double *x, const double *omega, size_t ld_omega,
                             long double *out);

// bias [N, N] += f(r_i - r_j) of the problem's mixture, or its estimate (1/r) sum rho cos(2 pi xi.(r_i - r_j)).
void flt_oracle_mixture(const flt_problem *p, long double *bias);
void flt_oracle_estimate(const flt_problem *p, size_t r, const double *xi, const double *rho, long double *bias);

// True when the options of the problem hold "name=value".
bool flt_oracle_option(const flt_problem *p, const char *name, const char *value);

// A draw of the plan cut to head h: its rank and dims without the head axis. NULL when the plan has none of this name.
const double *flt_oracle_draw(const flt_attention *plan, const char *name, size_t rank, size_t h, size_t *dim);

// The output of the mechanism with the draws that `plan` uses, evaluated in O(N^2): out [B, H, N, dv]. *exponent: the largest
// argument of an exponential. FLTE_UNSUPPORTED when this mechanism has no oracle yet.
flt_err flt_oracle_attention(const flt_problem *p, const flt_attention *plan, flt_real *out, double *exponent);

#endif
