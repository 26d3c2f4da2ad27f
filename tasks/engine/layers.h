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
typedef struct flt_layer {
    flt_node out, w, b;
} flt_layer;
flt_layer flt_dense_layer(flt_task_model *m, const char *name, flt_node x, size_t in, size_t out); // with its tensors

// x [.., n] -> (x - mean) / sqrt(variance + 1e-5) over the last axis, times NAME.scale [n] = 1, plus NAME.shift [n] = 0.
flt_node flt_layer_norm(flt_task_model *m, const char *name, flt_node x);

// 3 x 3 convolution with zeros around: x [rows, h, w, in] -> [rows, h, w, out]; NAME.w [3, 3, in, out] ~ N(0, 2 / (9 in)),
// NAME.b = 0.01: with 0, a relu would start at its kink wherever an image is black.
flt_node flt_conv3(flt_task_model *m, const char *name, flt_node x, size_t out);
// Means of 2 x 2 blocks; x [rows, h, w, c], h and w even.
flt_node flt_pool2(flt_graph *g, flt_node x);

// x through hidden layers of `width` units and activations, NAME.0 .. NAME.depth-1, and a linear layer NAME.depth of `out` units.
typedef struct flt_mlp {
    size_t width, depth;
    const char *activation;
    bool norm; // layer norm before each activation: NAME.I.norm
} flt_mlp;

#define FLTX_MLP_PARAMS                                                                                                          \
    {"width", FLTX_INT, "32", 1, 4096, NULL, "units of each hidden layer"},                                                      \
        {"depth", FLTX_INT, "1", 0, 16, NULL, "hidden layers"},                                                                  \
        {"activation", FLTX_ENUM, "relu", 0, 0, FLTX_ACTIVATIONS, "function of the hidden units"}, {                             \
        "norm", FLTX_BOOL, "false", 0, 0, NULL, "layer norm before each activation"                                              \
    }
flt_mlp flt_mlp_params(const flt_params *p); // the text is the params'
flt_node flt_mlp_apply(flt_task_model *m, const char *name, const flt_mlp *mlp, flt_node x, size_t in, size_t out);

// Cross-entropy as the loss, accuracy as the metric, log(classes) as the normaliser and 1.5 of it as the clip.
void flt_classify(flt_task_model *m, flt_node logits, flt_node labels, size_t classes);

#endif
