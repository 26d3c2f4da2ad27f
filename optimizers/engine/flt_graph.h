// SPDX-License-Identifier: MIT
// The step of the flt optimizer as a graph.
#ifndef FLTX_FLT_GRAPH_H
#define FLTX_FLT_GRAPH_H

#include "engine/graph_step.h"

// FLTE_UNSUPPORTED with memory=window and memory=spe_sine.
flt_err flt_net_graph(const flt_params *p, flt_graph_step *s);

#endif
