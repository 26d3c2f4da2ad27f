// SPDX-License-Identifier: MIT
// Lengths of episodes: pure functions of (seed, particle, episode, outer step at which the episode begins).
#ifndef FLTX_TRUNCATION_H
#define FLTX_TRUNCATION_H

#include "flt/meta.h"

typedef struct flt_truncation {
    uint64_t seed;
    double shortest, longest;
    double growth; // outer steps over which the longest length is reached; 0: at once
    bool in_phase;
} flt_truncation;

// Errors: FLTE_USAGE (unknown name), FLTE_RANGE.
flt_err flt_truncation_make(const flt_meta_config *c, flt_truncation *out);
// floor(exp(U(log shortest, log(longest + 1)))); under a curriculum `longest + 1` is (shortest + 1)^(1 - x) (longest + 1)^x with
// x = min(1, step / growth).
uint64_t flt_truncation_length(const flt_truncation *t, size_t particle, uint64_t episode, uint64_t step);
// Of a particle's first episode: cut at random, so that particles are out of phase from the start, unless in_phase.
uint64_t flt_truncation_first(const flt_truncation *t, size_t particle);
// Outer steps that a curriculum takes, 0 without one.
uint64_t flt_truncation_growth(const flt_meta_config *c);

#endif
