// SPDX-License-Identifier: MIT
// Inner problems of this process: parameters and optimizer states, in one block a task.
//
// Particle i has two arms and runs task i mod tasks. Arm a of particle i is number 2 i + a; a process holds a contiguous range of
// the numbers, and so a contiguous range of each task's arms.
#ifndef FLTX_ARMS_H
#define FLTX_ARMS_H

#include "flt/objective.h"

typedef struct flt_arm_block { // of one task
    size_t rows;               // its arms here
    size_t params;             // P_k
    size_t words;              // of the optimizer's state
    flt_real *param;           // [rows, params]
    flt_real *state;           // [rows, words]
} flt_arm_block;

typedef struct flt_arms {
    size_t first, count; // arms first .. first + count - 1 are here
    size_t tasks;
    flt_arm_block *task; // [tasks]
    bool *dead;          // [count]: the loss was not finite; nothing moves until the next reset
} flt_arms;

typedef struct flt_arm { // borrowed views of one arm
    flt_real *param, *state;
    bool *dead;
} flt_arm;

// Blocks without memory; flt_arms_size gives task k its sizes and memory.
flt_err flt_arms_create(size_t tasks, size_t first, size_t count, flt_arms *out);
flt_err flt_arms_size(flt_arms *a, size_t k, size_t params, size_t words);
// The same sizes for another range.
flt_err flt_arms_like(const flt_arms *a, size_t first, size_t count, flt_arms *out);
void flt_arms_destroy(flt_arms *a); // {0} is fine
flt_arm flt_arms_at(const flt_arms *a, size_t particle, size_t arm);
// Arm `number` of `from` into `to`; both hold it.
void flt_arms_copy(const flt_arms *from, flt_arms *to, size_t number);
// Arms of task k below `number`.
size_t flt_arms_before(size_t tasks, size_t k, size_t number);

#endif
