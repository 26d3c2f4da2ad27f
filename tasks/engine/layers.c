// SPDX-License-Identifier: MIT
// Dense layers and element-wise functions, as nodes.
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

flt_node flt_dense(flt_task_model *m, const char *name, flt_node x, size_t in, size_t out) {
    char tensor[64];
    snprintf(tensor, sizeof tensor, "%s.w", name);
    const flt_node w = flt_task_tensor(m, tensor, 2, (size_t[]){in, out}, (flt_task_init){.std = 1.0 / sqrt((double)in)});
    snprintf(tensor, sizeof tensor, "%s.b", name);
    const flt_node b = flt_task_tensor(m, tensor, 1, &out, (flt_task_init){0});
    return flt_add(m->graph, flt_matmul(m->graph, x, w, false, false), b);
}
