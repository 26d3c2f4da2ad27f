// SPDX-License-Identifier: MIT
// What a task costs: one measurement for `flt bench task` and `flt list tasks`.
#ifndef FLTX_TASK_COST_H
#define FLTX_TASK_COST_H

#include "flt/error.h"

FLTX_BEGIN_DECLS

// By one thread; times in seconds of its own (what others use the machine for does not count), each the least of several blocks.
// NaN: the task has none.
typedef struct flt_task_cost {
    size_t parameters, bytes; // bytes: what the objective holds
    double gradient;          // loss and gradient, each on the next minibatch
    double minibatch;         // of it: making the minibatch
    double idle;              // of it: binding and the graph's executor, its nodes doing nothing
    double hessian;           // one Hessian-vector product, the minibatch being there
} flt_task_cost;

// Measures each of the four for about `seconds`, or for a few calls where one takes longer. No other thread may allocate
// meanwhile. Errors: those of the task; FLTE_NOMEM.
flt_err flt_task_cost_of(const char *spec, uint64_t seed, double seconds, flt_task_cost *out);

FLTX_END_DECLS

#endif
