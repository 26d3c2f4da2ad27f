// SPDX-License-Identifier: MIT
// Transformer blocks, as nodes.
#include "engine/transformer.h"
#include "engine/layers.h"

#include "flt/attend.h"

#include <stdio.h>

flt_err flt_transformer_open(const char *who, const flt_params *p, flt_transformer *t) {
    t->heads.width = flt_params_size(p, "width");
    t->depth = flt_params_size(p, "depth");
    t->hidden = t->heads.width * flt_params_size(p, "expansion");
    t->absolute = flt_params_bool(p, "absolute");
    FLTX_TRY(flt_heads_open(who, p, &t->heads));
    t->hessian = flt_params_bool(p, "hessian") && flt_attend_twice(t->heads.kind->kind.name);
    return FLTE_OK;
}

void flt_transformer_close(flt_transformer *t) {
    flt_heads_close(&t->heads);
}

static flt_node add_absolute(flt_task_model *m, const flt_transformer *t, flt_node x) {
    const size_t n = t->heads.n, width = t->heads.width, dim[] = {m->rows, n, width};
    const flt_node table = flt_task_tensor(m, "absolute", 2, dim + 1, (flt_task_init){.std = 0.3});
    const flt_node sum = flt_add(m->graph, flt_reshape(m->graph, x, 3, dim), table);
    return flt_reshape(m->graph, sum, 2, (size_t[]){m->rows * n, width});
}

static flt_node feed_forward(flt_task_model *m, const char *name, const flt_transformer *t, flt_node x) {
    char layer[48];
    snprintf(layer, sizeof layer, "%s.up", name);
    const flt_node hidden = flt_gelu(m->graph, flt_dense(m, layer, x, t->heads.width, t->hidden));
    snprintf(layer, sizeof layer, "%s.down", name);
    return flt_dense(m, layer, hidden, t->hidden, t->heads.width);
}

static flt_node block(flt_task_model *m, const flt_transformer *t, size_t i, flt_node x, const flt_points *points) {
    char name[40];
    snprintf(name, sizeof name, "blocks.%zu.norm1", i);
    const flt_node first = flt_layer_norm(m, name, x);
    snprintf(name, sizeof name, "blocks.%zu.attention", i);
    x = flt_add(m->graph, x, flt_heads_apply(m, name, &t->heads, i, first, points));
    snprintf(name, sizeof name, "blocks.%zu.norm2", i);
    const flt_node second = flt_layer_norm(m, name, x);
    snprintf(name, sizeof name, "blocks.%zu", i);
    return flt_add(m->graph, x, feed_forward(m, name, t, second));
}

flt_node flt_transformer_apply(flt_task_model *m, const flt_transformer *t, flt_node x, const flt_points *points) {
    m->first_order = !t->hessian;
    if (t->absolute && points == NULL) x = add_absolute(m, t, x);
    for (size_t i = 0; i < t->depth; i++) x = block(m, t, i, x, points);
    return flt_layer_norm(m, "norm", x);
}
