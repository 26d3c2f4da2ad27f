// SPDX-License-Identifier: MIT
// What the fidelity table is made of: recipes, and exact masked attention in double.
#ifndef FLTX_FIDELITY_ENGINE_H
#define FLTX_FIDELITY_ENGINE_H

#include "engine/problem.h"

#include "flt/fidelity.h"

// A way to compute attention: budgets are the configuration's m and r where the recipe has them.
typedef struct flt_recipe {
    const char *mechanism, *options;
    bool has_m, has_r, published;
    const char *size; // the parameter that m sets where it is not called m; NULL: m
    bool fold_scale;  // the mechanism has no 1/sqrt d of its own: q and k come with it
} flt_recipe;

extern const flt_recipe flt_recipes[];
extern const size_t flt_n_recipes;

// out [N, dv] = softmax(q k^T / sqrt d + f) v of one head in double; lags [2N - 1] as flt_encoding_case_lags. Work: 2N + d N.
flt_err flt_exact_double(const flt_problem *p, const double *lags, double *out);

double flt_relative_error(size_t n, const flt_real *got, const double *want);

// Bytes that this process has allocated now; NAN where the C library cannot tell.
double flt_held_bytes(void);

// Marks the best rows and compares every recipe with the reference; ratios has room for flt_n_recipes.
void flt_fidelity_judge(flt_fidelity_group *g, flt_fidelity_row *rows, flt_fidelity_ratio *ratios);

#endif
