// SPDX-License-Identifier: MIT
// Pieces of networks that several tasks use.
#ifndef FLTX_LAYERS_H
#define FLTX_LAYERS_H

#include "engine/graph_task.h"

#define FLTX_ACTIVATIONS "relu|gelu|tanh|sigmoid|silu"

// Element-wise, by one of the names above.
flt_node flt_activation(flt_graph *g, const char *name, flt_node x);

// x [rows, in] -> x W + b [rows, out]; tensors NAME.w [in, out] ~ N(0, 1/in), NAME.b [out] = 0.
flt_node flt_dense(flt_task_model *m, const char *name, flt_node x, size_t in, size_t out);

#endif
