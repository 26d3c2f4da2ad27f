// SPDX-License-Identifier: MIT
// Multilayer perceptron on real optical digits, or on the images of a folder of IDX files.
//
//   x_0 = pixels [batch, h w],  x_{i+1} = act(x_i W_i + b_i),  loss = mean_batch -log softmax(x_depth W_depth + b_depth)[label]
//
// Tensors layers.I.w [in, out] ~ N(0, 1/in) and layers.I.b [out] = 0, I = 0 .. depth; depth 0 is softmax regression. The default,
// 64-32-10, has 2,410 parameters: the geometry of VeLO's and Celo's image tasks (arXiv 2211.09760, 2501.12670).
// Pixels lie in [0, 1]. Training minibatches are augmented by default: without that, a tuned Adam drives the training loss to
// zero within 1,000 steps, and ratios of speeds mean nothing.
// Cost of a step: 6 batch (sum of the sizes of W) flops. Evaluation covers the whole split, never augmented.
#include "engine/images.h"
#include "engine/layers.h"
#include "flt/tasks.h"

#include <math.h>
#include <stdio.h>

typedef struct digits_mlp {
    flt_images images;
    size_t width, depth;
    const char *activation;
} digits_mlp;

static const flt_param_spec params[] = {
    {"width", FLTX_INT, "32", 1, 4096, NULL, "units of each hidden layer"},
    {"depth", FLTX_INT, "1", 0, 16, NULL, "hidden layers"},
    {"activation", FLTX_ENUM, "relu", 0, 0, FLTX_ACTIVATIONS, "function of the hidden units"},
    FLTX_IMAGES_PARAMS,
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    digits_mlp *s = self;
    s->width = flt_params_size(p, "width");
    s->depth = flt_params_size(p, "depth");
    s->activation = flt_params_text(p, "activation");
    return flt_images_open("task digits_mlp", p, &s->images);
}

static void close(void *self) {
    digits_mlp *s = self;
    flt_images_close(&s->images);
}

static void build(void *self, flt_task_model *m) {
    const digits_mlp *s = self;
    const flt_dataset *d = s->images.data;
    size_t in = d->height * d->width;
    flt_node x = flt_task_input(m, "pixels", 2, (size_t[]){m->rows, in});
    const flt_node labels = flt_task_input(m, "labels", 1, &m->rows);
    for (size_t i = 0; i <= s->depth; i++) {
        const size_t out = i < s->depth ? s->width : d->classes;
        char name[32];
        snprintf(name, sizeof name, "layers.%zu", i);
        x = flt_dense(m, name, x, in, out);
        if (i < s->depth) x = flt_activation(m->graph, s->activation, x);
        in = out;
    }
    m->loss = flt_softmax_cross_entropy(m->graph, x, labels);
    m->metric = flt_accuracy(m->graph, x, labels);
    m->metric_name = "accuracy";
    m->normaliser = log((double)d->classes);
    m->clip_loss = 1.5 * m->normaliser;
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    digits_mlp *s = self;
    flt_images_batch(&s->images, which, rows, in[0], in[1]);
}

static size_t split_rows(void *self, flt_split split) {
    const digits_mlp *s = self;
    return flt_dataset_rows(s->images.data, split);
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    const digits_mlp *s = self;
    flt_images_plain(&s->images, which.split, which.first, which.rows, in[0], in[1]);
}

static const flt_graph_task task = {
    .size = sizeof(digits_mlp),
    .open = open,
    .close = close,
    .build = build,
    .batch = batch,
    .split_rows = split_rows,
    .examples = examples,
};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_digits_mlp = {
    .kind = {.name = "digits_mlp",
             .summary = "multilayer perceptron on optical digits (8x8) or on IDX files",
             .formula = "mean over the batch of -log softmax(mlp(pixels))[label]",
             .cost = "time O(batch P), memory O(P + batch (h w + width depth))",
             .citation = "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (CC BY 4.0)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_DATA,
             .params = params},
    .create = create,
};
