// SPDX-License-Identifier: MIT
// Inner problems of all particles, two arms each: parameters and optimizer states, in one block a task.
//
// Particle i runs task k = i mod tasks and is row i / tasks of the task's blocks.
#ifndef FLTX_ARMS_H
#define FLTX_ARMS_H

#include "flt/objective.h"

typedef struct flt_arm_block { // of one task
    size_t rows;               // particles that run it
    size_t params;             // P_k
    size_t words;              // of the optimizer's state
    flt_real *param;           // [rows, 2, params]
    flt_real *state;           // [rows, 2, words]
} flt_arm_block;

typedef struct flt_arms {
    size_t particles, tasks;
    flt_arm_block *task; // [tasks]
    bool *dead;          // [particles, 2]: the loss was not finite; nothing moves until the next reset
} flt_arms;

typedef struct flt_arm { // borrowed views of one arm
    flt_real *param, *state;
    bool *dead;
} flt_arm;

// Blocks without memory; flt_arms_size gives task k its sizes and memory.
flt_err flt_arms_create(size_t particles, size_t tasks, flt_arms *out);
flt_err flt_arms_size(flt_arms *a, size_t k, size_t params, size_t words);
void flt_arms_destroy(flt_arms *a); // {0} is fine
flt_arm flt_arms_at(const flt_arms *a, size_t particle, size_t arm);

#endif
