// SPDX-License-Identifier: MIT
// Layers, networks and losses, as nodes.
#include "engine/layers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// a sigmoid(a): Elfwing, Uchibe, Doya, 2018
static flt_node silu(flt_graph *g, flt_node a) {
    return flt_mul(g, a, flt_sigmoid(g, a));
}

typedef struct activation {
    const char *name;
    flt_node (*apply)(flt_graph *g, flt_node a);
} activation;

static const activation activations[] = {
    {"relu", flt_relu}, {"gelu", flt_gelu}, {"tanh", flt_tanh}, {"sigmoid", flt_sigmoid}, {"silu", silu},
};

flt_node flt_activation(flt_graph *g, const char *name, flt_node x) {
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(activations[i].name, name) == 0) return activations[i].apply(g, x);
    return (flt_node){-1}; // a parameter table let an unknown name through
}

flt_layer flt_dense_layer(flt_task_model *m, const char *name, flt_node x, size_t in, size_t out) {
    char tensor[64];
    snprintf(tensor, sizeof tensor, "%s.w", name);
    const flt_node w = flt_task_tensor(m, tensor, 2, (size_t[]){in, out}, (flt_task_init){.std = 1.0 / sqrt((double)in)});
    snprintf(tensor, sizeof tensor, "%s.b", name);
    const flt_node b = flt_task_tensor(m, tensor, 1, &out, (flt_task_init){0});
    return (flt_layer){flt_add(m->graph, flt_matmul(m->graph, x, w, false, false), b), w, b};
}

flt_node flt_dense(flt_task_model *m, const char *name, flt_node x, size_t in, size_t out) {
    return flt_dense_layer(m, name, x, in, out).out;
}

flt_node flt_layer_norm(flt_task_model *m, const char *name, flt_node x) {
    flt_graph *g = m->graph;
    const size_t rank = flt_node_rank(g, x);
    if (rank == 0) return x; // a bad node
    const size_t n = flt_node_dim(g, x)[rank - 1];
    const unsigned last = 1u << (rank - 1);
    char tensor[64];
    snprintf(tensor, sizeof tensor, "%s.scale", name);
    const flt_node scale = flt_task_tensor(m, tensor, 1, &n, (flt_task_init){.mean = 1.0});
    snprintf(tensor, sizeof tensor, "%s.shift", name);
    const flt_node shift = flt_task_tensor(m, tensor, 1, &n, (flt_task_init){0});
    const flt_node centred = flt_sub(g, x, flt_reduce_mean(g, x, last, true));
    const flt_node variance = flt_reduce_mean(g, flt_square(g, centred), last, true);
    const flt_node whitened = flt_div(g, centred, flt_sqrt(g, flt_offset(g, variance, 1e-5)));
    return flt_add(g, flt_mul(g, whitened, scale), shift);
}

flt_node flt_conv3(flt_task_model *m, const char *name, flt_node x, size_t out) {
    flt_graph *g = m->graph;
    if (flt_node_rank(g, x) != 4) return x; // a bad node
    const size_t *dim = flt_node_dim(g, x), rows = dim[0], h = dim[1], w = dim[2], in = dim[3];
    char tensor[64];
    snprintf(tensor, sizeof tensor, "%s.w", name);
    const flt_task_init he = {.std = sqrt(2.0 / (9.0 * (double)in))};
    const flt_node weight = flt_task_tensor(m, tensor, 4, (size_t[]){3, 3, in, out}, he);
    snprintf(tensor, sizeof tensor, "%s.b", name);
    const flt_node bias = flt_task_tensor(m, tensor, 1, &out, (flt_task_init){.mean = 0.01});
    const flt_node patches = flt_reshape(g, flt_patches_of(g, x), 2, (size_t[]){rows * h * w, 9 * in});
    const flt_node matrix = flt_reshape(g, weight, 2, (size_t[]){9 * in, out});
    const flt_node sums = flt_add(g, flt_matmul(g, patches, matrix, false, false), bias);
    return flt_reshape(g, sums, 4, (size_t[]){rows, h, w, out});
}

flt_node flt_pool2(flt_graph *g, flt_node x) {
    if (flt_node_rank(g, x) != 4) return x; // a bad node
    const size_t *dim = flt_node_dim(g, x);
    const flt_node blocks = flt_reshape(g, x, 6, (size_t[]){dim[0], dim[1] / 2, 2, dim[2] / 2, 2, dim[3]});
    return flt_reduce_mean(g, blocks, 1u << 2 | 1u << 4, false);
}

flt_mlp flt_mlp_params(const flt_params *p) {
    return (flt_mlp){flt_params_size(p, "width"), flt_params_size(p, "depth"), flt_params_text(p, "activation"),
                     flt_params_bool(p, "norm")};
}

flt_node flt_mlp_apply(flt_task_model *m, const char *name, const flt_mlp *mlp, flt_node x, size_t in, size_t out) {
    char layer[48];
    for (size_t i = 0; i < mlp->depth; i++, in = mlp->width) {
        snprintf(layer, sizeof layer, "%s.%zu", name, i);
        x = flt_dense(m, layer, x, in, mlp->width);
        snprintf(layer, sizeof layer, "%s.%zu.norm", name, i);
        if (mlp->norm) x = flt_layer_norm(m, layer, x);
        x = flt_activation(m->graph, mlp->activation, x);
    }
    snprintf(layer, sizeof layer, "%s.%zu", name, mlp->depth);
    return flt_dense(m, layer, x, in, out);
}

void flt_classify(flt_task_model *m, flt_node logits, flt_node labels, size_t classes) {
    m->loss = flt_softmax_cross_entropy(m->graph, logits, labels);
    m->metric = flt_accuracy(m->graph, logits, labels);
    m->metric_name = "accuracy";
    m->normaliser = log((double)classes);
    m->clip_loss = 1.5 * m->normaliser;
}
