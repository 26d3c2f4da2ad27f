// SPDX-License-Identifier: MIT
// One step of a learned optimizer written as a graph, so that it can be differentiated in theta, parameters, gradient and state:
//   (p', s') = step(theta, clock(t), p, g, s).
// A kind that has one fills it in (flt_optimizer_kind.graph). Each tensor is a node of its own shape; the state is a list of
// nodes, in an order of its own, which need not be that of the kind's flat state. Rounding apart it takes the same path.
#ifndef FLTX_GRAPH_STEP_H
#define FLTX_GRAPH_STEP_H

#include "flt/graph.h"
#include "flt/optimizer.h"
#include "mlp.h"

// What depends on the time alone: the time features, t, log(1 + t).
enum { FLTX_CLOCK_T = FLTX_TIMES, FLTX_CLOCK_LOG, FLTX_CLOCKS };

typedef struct flt_graph_state {
    flt_node now, next;
    size_t offset, count; // in the state
    double start;         // at t = 0
} flt_graph_state;

typedef struct flt_graph_step {
    flt_graph *graph;
    flt_layout meta, layout; // of theta, of the parameters
    flt_node *theta;         // [meta.n]
    flt_node *param, *grad;  // [layout.n]; none where a tensor has no elements
    flt_node *next;          // [layout.n]: the kind's
    flt_node clock;          // [FLTX_CLOCKS]
    flt_graph_state *state;  // [n_state]
    size_t n_state, words;   // words of the state in all
    flt_err err;
} flt_graph_step;

// FLTE_UNSUPPORTED where the kind or its options have no graph, with what does; FLTE_NOMEM. On failure *out is {0}.
flt_err flt_graph_step_create(const flt_weights *w, const flt_layout *layout, flt_graph_step *out);
void flt_graph_step_destroy(flt_graph_step *s); // {0} is fine
void flt_graph_step_start(const flt_graph_step *s, flt_real *state);
void flt_graph_step_clock(uint64_t t, flt_real *clock);

// ---- for the kinds
flt_node flt_graph_step_theta(const flt_graph_step *s, const char *name);
// A part of the state, `start` everywhere at t = 0; its value after the step is given by the second call.
flt_node flt_graph_step_state(flt_graph_step *s, double start, size_t rank, const size_t *dim);
void flt_graph_step_next(flt_graph_step *s, flt_node now, flt_node next);

// (x + add)^-1/2;  max(x, least);  min(max(x, -bound), bound): their derivative at a kink is that of the inner side
flt_node flt_graph_rsqrt(flt_graph *g, flt_node x, double add);
flt_node flt_graph_at_least(flt_graph *g, flt_node x, double least);
flt_node flt_graph_clip(flt_graph *g, flt_node x, double bound);
// keep x + (1 - keep) y
flt_node flt_graph_mix(flt_graph *g, double keep, flt_node x, flt_node y);
// x [n, in], w [in, out], b [out] -> [n, out], ReLU where asked
flt_node flt_graph_layer(flt_graph *g, flt_node x, flt_node w, flt_node b, bool relu);

#endif
