// SPDX-License-Identifier: MIT
// Pieces of test functions: deterministic losses of one vector x.
#ifndef FLTX_LANDSCAPE_H
#define FLTX_LANDSCAPE_H

#include "engine/graph_task.h"

// theta [n] uniform in [low, high), keyed by (seed, task).
void flt_start_uniform(const char *task, uint64_t seed, size_t n, double low, double high, flt_real *theta);
// Magnitudes uniform in [low, high), signs by chance: starts that keep away from 0.
void flt_start_shell(const char *task, uint64_t seed, size_t n, double low, double high, flt_real *theta);

// The tensor "x" [n] of the parameters; its initial values are the task's `init`, or N(0, 1).
flt_node flt_variables(flt_task_model *m, size_t n);

// x_i as a rank-1 node of length 1.
flt_node flt_coordinate(flt_graph *g, flt_node x, size_t i);

// a + factor b
flt_node flt_add_scaled(flt_graph *g, flt_node a, flt_node b, double factor);

#endif
