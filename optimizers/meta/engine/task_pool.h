// SPDX-License-Identifier: MIT
// Which task an episode of a particle runs: a pure function of (seed, particle, episode).
//
// Particle i belongs to group i mod G, one group for each entry of the configuration. Without draws a group is that one task;
// with D draws it is D tasks, drawn from the entry once, and each episode takes one of them.
#ifndef FLTX_TASK_POOL_H
#define FLTX_TASK_POOL_H

#include "flt/meta.h"

enum { FLTX_SPEC_SIZE = sizeof((flt_objective *)0)->spec };

typedef struct flt_task_pool {
    uint64_t seed;
    size_t groups, draws;          // G, D (1 without draws)
    size_t n;                      // different tasks, at most G D
    const char **spec;             // [n]
    char (*drawn)[FLTX_SPEC_SIZE]; // storage of them; NULL without draws
    size_t *task;                  // [G, D], into spec
} flt_task_pool;

// Errors: those of the sampler, FLTE_NOMEM. *out may be destroyed whatever came back.
flt_err flt_task_pool_create(const flt_meta_config *c, flt_task_pool *out);
void flt_task_pool_destroy(flt_task_pool *p); // {0} is fine
// The task of an episode, 0 .. n - 1.
size_t flt_task_pool_pick(const flt_task_pool *p, size_t particle, uint64_t episode);

#endif
