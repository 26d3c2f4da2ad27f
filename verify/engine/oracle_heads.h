// SPDX-License-Identifier: MIT
// One head of a mechanism with the draws of a plan, by plain loops. Private to the oracles.
#ifndef FLTX_ORACLE_HEADS_H
#define FLTX_ORACLE_HEADS_H

#include "engine/oracle.h"

// Inputs and results of one head.
typedef struct flt_oracle_job {
    const flt_problem *p;
    const flt_attention *plan;
    size_t h;
    const flt_real *q, *k, *v; // [N, d], [N, d], [N, dv]
    long double *x;            // [N, N]: logits or logarithms of weights, when the mechanism is an average of v
    long double *out;          // [N, dv]: what the others write themselves
    double *exponent;          // largest argument of an exponential; raise it
} flt_oracle_job;

flt_err flt_oracle_nprf(const flt_oracle_job *job);
flt_err flt_oracle_spe(const flt_oracle_job *job);
flt_err flt_oracle_fourier(const flt_oracle_job *job);
flt_err flt_oracle_fftnet(const flt_oracle_job *job);
flt_err flt_oracle_taylor(const flt_oracle_job *job);

#endif
