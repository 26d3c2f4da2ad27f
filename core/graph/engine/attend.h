// SPDX-License-Identifier: MIT
// What the nodes of one attention share: the description they were made from, and in an executor the plan. Private to core/graph.
#ifndef FLTX_GRAPH_ATTEND_H
#define FLTX_GRAPH_ATTEND_H

#include "flt/attend.h"
#include "op.h"

enum { FLTX_ATTEND_FORWARD = 1u << 0, FLTX_ATTEND_BACKWARD = 1u << 1 }; // uses of the plan

typedef struct flt_attend_value { // an argument and its values
    char name[32];
    size_t rank, count;
    size_t dim[FLTX_MAX_RANK];
    double *data; // [count]
} flt_attend_value;

typedef struct flt_attend_spec {
    const flt_attention_kind *kind;
    flt_params *params;
    size_t B, H, N, d, dv;
    bool causal, mixing; // mixing: k and v are not read
    uint64_t seed;
    size_t n_fixed, n_learned;
    flt_attend_value *value;                  // [n_fixed + n_learned]: fixed ones first
    flt_attention *probe;                     // for one sequence: what it draws is what every executor's plan draws
    struct flt_attend_derivative *derivative; // found out when it is asked for
} flt_attend_spec;

extern const flt_op_engine flt_attend_engine;

// The plan for one sequence, with its planning values; *args is the caller's to free.
flt_err flt_attend_describe(const flt_attend_spec *s, flt_attention_arg **args, flt_attention_desc *out);

// FLTE_UNSUPPORTED or FLTE_NAME unless there is a backward pass with gradients in all learned arguments.
flt_err flt_attend_differentiable(const flt_attend_spec *s);

// The results of the backward op, one after the other: dq, dk, dv, then one for each learned argument.
size_t flt_attend_parts(const flt_attend_spec *s);
void flt_attend_part(const flt_attend_spec *s, size_t part, size_t *start, size_t *rank, size_t *dim);

double flt_attend_flops(const flt_attend_spec *s, bool backward); // of all sequences; NaN: not known

void flt_attend_forward(const flt_step *step);  // inputs q, k, v, learned ..
void flt_attend_backward(const flt_step *step); // inputs q, k, v, out, dout, learned ..; out: the parts in a row

// The gradients as one node [total]: the backward op (core/graph/attention_backward.c).
flt_node flt_attention_gradients(flt_graph *g, const flt_attend_spec *s, size_t n, const flt_node *in, flt_node y, flt_node dy);

#endif
