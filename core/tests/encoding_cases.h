// SPDX-License-Identifier: MIT
// Values for the arguments of any encoding of the registry, away from the edges of local encodings. A new argument's name needs a
// line here.
#ifndef ENCODING_CASES_H
#define ENCODING_CASES_H

#include "num_support.h"

#include "flt/rpe.h"

#include <stdio.h>
#include <string.h>

enum { CASE_N = 8, CASE_T = 3, CASE_BUCKETS = 8, CASE_MAX = 16 };

typedef struct encoding_value {
    const char *name;
    bool setting, whole; // whole: must stay so
    size_t rank, dim[2], count;
    double data[CASE_MAX];
} encoding_value;

static const struct {
    const char *name;
    double low, high;
} encoding_ranges[] = {{"w", 0.2, 0.9},   {"mu", -0.5, 0.5},   {"s2", 0.05, 0.4},   {"c", 0.5, 1.2},
                       {"v", 1.53, 1.57}, {"scale", 0.8, 1.6}, {"slope", 0.2, 0.7}, {"decay", 0.5, 0.9},
                       {"band", 3, 5},    {"buckets", -1, 1},  {"lag_bias", -1, 1}, {"max_distance", 9, 12}};

// Whole positions on a line of fewer than CASE_N, or a grid of whole points, keep |z| away from v.
static inline encoding_value encoding_value_of(const flt_rpe_kind *kind, const flt_rpe_arg *arg, size_t l, uint64_t seed) {
    encoding_value v = {.name = arg->name, .setting = arg->setting, .count = 1};
    size_t i = 0;
    while (i < sizeof encoding_ranges / sizeof *encoding_ranges && strcmp(encoding_ranges[i].name, arg->name) != 0) i++;
    cr_assert(lt(sz, i, sizeof encoding_ranges / sizeof *encoding_ranges), "no test values for the argument %s", arg->name);
    if (strcmp(arg->name, "w") == 0 || strcmp(arg->name, "s2") == 0) v.rank = 1, v.count = v.dim[0] = CASE_T;
    if (strcmp(arg->name, "mu") == 0) v.rank = 2, v.dim[0] = CASE_T, v.dim[1] = l, v.count = CASE_T * l;
    if (strcmp(arg->name, "lag_bias") == 0) v.rank = 1, v.count = v.dim[0] = 2 * CASE_N - 1;
    if (strcmp(arg->name, "buckets") == 0) v.rank = 1, v.count = v.dim[0] = CASE_BUCKETS;
    uint64_t state = seed * 131 + i;
    for (size_t k = 0; k < v.count; k++)
        v.data[k] = encoding_ranges[i].low + (encoding_ranges[i].high - encoding_ranges[i].low) * 0.5 * (next_real(&state) + 1);
    v.whole = strcmp(arg->name, "v") == 0 && (kind->kind.caps & FLTX_RPE_GRID) != 0;
    if (v.whole) v.data[0] = 2;
    if (strcmp(arg->name, "lag_bias") == 0)
        for (size_t k = 0; k < CASE_N; k++) v.data[v.count - 1 - k] = v.data[k]; // a real spectrum
    return v;
}

// A direction to move it in, which keeps tables of lags symmetric.
static inline void encoding_direction(const encoding_value *v, uint64_t seed, double *dir) {
    uint64_t state = seed * 17 + 5;
    for (size_t k = 0; k < v->count; k++) dir[k] = next_real(&state);
    for (size_t k = 0; strcmp(v->name, "lag_bias") == 0 && k < v->count; k++) dir[v->count - 1 - k] = dir[k];
}

static inline bool encoding_takes(const flt_rpe_kind *kind, size_t l) {
    return l == 1 || (kind->kind.caps & FLTX_RPE_GRID) == 0;
}

static inline const flt_rpe_kind *encoding_of(size_t i) {
    const flt_registry *r = flt_rpe_registry();
    for (size_t k = 0; r->kinds[k] != NULL; k++)
        if (k == i) return (const flt_rpe_kind *)r->kinds[k];
    return NULL;
}

// sum_s weight_s f(at_s h) / 60 h of the six points of a central difference
static const double six_at[6] = {-3, -2, -1, 1, 2, 3}, six_weight[6] = {-1, 9, -45, 45, -9, 1};

#endif
