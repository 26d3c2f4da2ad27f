// SPDX-License-Identifier: MIT
// Attention as a node of a computation graph: any registered mechanism, with a gradient in q, k, v and in those of its arguments
// that are nodes themselves. Run and differentiated by the mechanism's own kernels; see core/graph/attention.c.
#ifndef FLTX_ATTEND_H
#define FLTX_ATTEND_H

#include "flt/attention.h"
#include "flt/graph.h"

FLTX_BEGIN_DECLS

typedef struct flt_attend_desc {
    const char *mechanism;
    const char *settings; // its parameters, "m=64,features=hyperbolic"; NULL: defaults
    bool causal;
    uint64_t seed; // draws what the arguments do not give; equal in every executor
    size_t n_fixed;
    const flt_attention_arg *fixed; // arguments that never change: "pos", "omega"
    // Arguments that are nodes. Their values here are legal ones, used for planning alone.
    size_t n_learned;
    const flt_attention_arg *learned;
} flt_attend_desc;

// q, k [B, H, N, d], v [B, H, N, dv], nodes [n_learned] in the shapes of desc->learned -> [B, H, N, dv]. Everything is copied.
// Mechanisms that mix one input read q alone. Where an argument's value is none that the mechanism takes (a variance of -1), the
// result is NaN. Errors stick to the graph: those of flt_attention_create; FLTE_UNSUPPORTED for mechanisms that shorten their
// output, and, when a derivative is asked for that there is not, with the mechanisms that have it.
flt_node flt_attend(flt_graph *g, const flt_attend_desc *desc, const flt_node qkv[3], const flt_node *nodes);

// Whether the mechanism of this name has second derivatives (Hessian-vector products): those with a file in core/graph/forms.
bool flt_attend_twice(const char *mechanism);

FLTX_END_DECLS

#endif
