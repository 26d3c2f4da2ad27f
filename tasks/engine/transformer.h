// SPDX-License-Identifier: MIT
// Transformer blocks on the graph.
//
//   x_0 = input [+ absolute];   h = x_i + heads(norm(x_i)),  x_{i+1} = h + W_2 gelu(W_1 norm(h) + b_1) + b_2;   out =
//   norm(x_depth)
//
// Pre-norm (R. Xiong et al., On layer normalization in the transformer architecture, ICML 2020).
#ifndef FLTX_TASK_TRANSFORMER_H
#define FLTX_TASK_TRANSFORMER_H

#include "engine/heads.h"

// The rows of a task's parameter table that flt_transformer_open reads.
#define FLTX_TRANSFORMER_PARAMS(width_, depth_, attention_)                                                                      \
    {"width", FLTX_INT, width_, 1, 4096, NULL, "numbers for each token"}, {"depth", FLTX_INT, depth_, 1, 64, NULL, "blocks"},    \
        {"expansion", FLTX_INT, "4", 1, 64, NULL, "hidden units of the feed-forward layers, in widths"},                         \
        FLTX_HEADS_PARAMS(attention_),                                                                                           \
        {"absolute", FLTX_BOOL, "true", 0, 0, NULL, "a learned vector for each position is added to the tokens"}, {              \
        "hessian", FLTX_BOOL, "true", 0, 0, NULL,                                                                                \
            "plan Hessian-vector products as well, with any attention that learns: O(tokens^2) memory"                           \
    }

typedef struct flt_transformer {
    flt_heads heads; // with width, causal, n, l, pos
    size_t depth, hidden;
    bool absolute, hessian;
} flt_transformer;

// As flt_heads_open: out->heads holds causal, n, l and pos beforehand.
flt_err flt_transformer_open(const char *who, const flt_params *p, flt_transformer *out);
void flt_transformer_close(flt_transformer *t);

// x [rows n, width] -> [rows n, width]; tensors absolute [n, width], blocks.I.*, norm.*
// Over points, which have no place of their own: absolute is left out.
flt_node flt_transformer_apply(flt_task_model *m, const flt_transformer *t, flt_node x,
                               const flt_points *points /* NULL: none */);

#endif
