// SPDX-License-Identifier: MIT
// Softmax regression on real optical digits, or on the images of a folder of IDX files: a convex problem with data.
//
//   loss = mean_batch -log softmax(x W + b)[label] + decay / 2 |W|^2,   x = pixels [batch, h w]
//
// Tensors linear.w [h w, classes] ~ N(0, 1 / (h w)), linear.b = 0. With decay > 0 the minimum is unique and, without augmentation
// and with batch = the whole split, deterministic. Cost of a step: 6 batch (h w) classes flops. Evaluation covers the whole
// split.
#include "engine/images.h"
#include "engine/layers.h"
#include "flt/tasks.h"

typedef struct softmax_regression {
    flt_images images; // first
    double decay;
} softmax_regression;

static const flt_param_spec params[] = {
    {"decay", FLTX_REAL, "1e-4", 0, 100, NULL, "half of this times the sum of squared weights is added to the loss"},
    FLTX_IMAGES_PARAMS,
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    softmax_regression *s = self;
    s->decay = flt_params_real(p, "decay");
    return flt_images_open("task softmax_regression", p, &s->images);
}

static void build(void *self, flt_task_model *m) {
    const softmax_regression *s = self;
    const flt_dataset *d = s->images.data;
    const size_t pixels = d->height * d->width;
    flt_graph *g = m->graph;
    const flt_image_inputs in = flt_images_inputs(&s->images, m);
    const flt_layer linear = flt_dense_layer(m, "linear", in.pixels, pixels, d->classes);
    flt_classify(m, linear.out, in.labels, d->classes);
    if (s->decay > 0.0) m->loss = flt_add(g, m->loss, flt_scale(g, flt_sum_all(g, flt_square(g, linear.w)), 0.5 * s->decay));
}

static const flt_graph_task task = {
    .size = sizeof(softmax_regression),
    .open = open,
    .close = flt_images_task_close,
    .build = build,
    .batch = flt_images_task_batch,
    .split_rows = flt_images_task_rows,
    .examples = flt_images_task_examples,
};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_softmax_regression = {
    .kind = {.name = "softmax_regression",
             .summary = "softmax regression on optical digits (8x8) or on IDX files: convex",
             .formula = "mean over the batch of -log softmax(x W + b)[label] + decay / 2 |W|^2",
             .cost = "time O(batch P), memory O(P + batch h w)",
             .citation = "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (CC BY 4.0)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_DATA,
             .params = params},
    .create = create,
};
