// SPDX-License-Identifier: MIT
// What moves theta: Adam or AdamW with a scheduled rate, behind clipping.
#ifndef FLTX_META_OPTIMIZER_H
#define FLTX_META_OPTIMIZER_H

#include "../../engine/schedule.h"
#include "flt/meta.h"

typedef struct flt_meta_optimizer {
    size_t n;
    flt_rate rate;
    double decay, clip; // of theta, 0 for Adam; of the gradient, 0: none
    bool by_element;
    const bool *frozen;            // [n], borrowed: stays; NULL: none
    double *m, *v;                 // [n]
    double grad_norm, update_norm; // of the last step: before clipping; of theta's change
} flt_meta_optimizer;

// Errors: FLTE_USAGE (unknown name), FLTE_RANGE, FLTE_NOMEM. *out may be destroyed whatever came back.
flt_err flt_meta_optimizer_create(const flt_meta_config *c, size_t n, flt_meta_optimizer *out);
void flt_meta_optimizer_destroy(flt_meta_optimizer *o); // {0} is fine
// Only what would make create fail with FLTE_USAGE or FLTE_RANGE.
flt_err flt_meta_optimizer_check(const flt_meta_config *c);
// The outer step at which the rate's schedule ends, 0 where it is constant.
uint64_t flt_meta_optimizer_end(const flt_meta_config *c);

// Update number `update` at outer step `step`, both from 0. False, and nothing moves, when the gradient is not finite.
bool flt_meta_optimizer_step(flt_meta_optimizer *o, uint64_t step, uint64_t update, const double *gradient, flt_real *theta);

#endif
