// SPDX-License-Identifier: MIT
// Features and network of the per-coordinate learned optimizers as graphs: what engine/lopt.h and the flt optimizer compute.
#ifndef FLTX_LOPT_GRAPH_H
#define FLTX_LOPT_GRAPH_H

#include "engine/graph_step.h"
#include "engine/lopt.h"

typedef struct flt_lopt_nodes {
    flt_node x;        // [n, features], each divided by its root mean square over the tensor
    flt_node momentum; // [n, 3]: m rs, before that; not with FLTX_MEANS
} flt_lopt_nodes;

// Of tensor i, which is not empty; its accumulators join the state. raw: g, clip(g), p, v, rs, g rs of FLTX_CELO2 alone.
flt_lopt_nodes flt_lopt_graph_features(flt_graph_step *s, size_t i, flt_lopt_features features, double eps, bool raw);
// The network's outputs [n, outputs] of tensor i.
flt_node flt_lopt_graph_outputs(const flt_lopt_form *form, const flt_params *p, flt_graph_step *s, size_t i);
// p - d of the shape of tensor i, for d [n, 1].
flt_node flt_lopt_graph_subtract(const flt_graph_step *s, size_t i, flt_node d);
// The classic rule for all tensors.
flt_err flt_lopt_classic_graph(const flt_lopt_form *form, const flt_params *p, flt_graph_step *s);

#endif
