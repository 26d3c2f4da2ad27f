// SPDX-License-Identifier: MIT
// Multilayer perceptron on real optical digits, or on the images of a folder of IDX files.
//
//   x_0 = pixels [batch, h w],  x_{i+1} = act(x_i W_i + b_i),  loss = mean_batch -log softmax(x_depth W_depth + b_depth)[label]
//
// With norm=true, x_i W_i + b_i is normalised over the units before act (J. L. Ba, J. R. Kiros, G. E. Hinton, Layer
// Normalization, 2016). Tensors layers.I.w [in, out] ~ N(0, 1/in) and layers.I.b [out] = 0, I = 0 .. depth; depth 0 is softmax
// regression. The default, 64-32-10, has 2,410 parameters: the geometry of VeLO's and Celo's image tasks (arXiv 2211.09760,
// 2501.12670). Pixels lie in [0, 1]. Training minibatches are augmented by default: without that, a tuned Adam drives the
// training loss to zero within 1,000 steps, and ratios of speeds mean nothing. Cost of a step: 6 batch (sum of the sizes of W)
// flops. Evaluation covers the whole split, never augmented.
#include "engine/images.h"
#include "engine/layers.h"
#include "flt/tasks.h"

typedef struct digits_mlp {
    flt_images images; // first
    flt_mlp mlp;
} digits_mlp;

static const flt_param_spec params[] = {
    FLTX_MLP_PARAMS,
    FLTX_IMAGES_PARAMS,
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    digits_mlp *s = self;
    s->mlp = flt_mlp_params(p);
    return flt_images_open("task digits_mlp", p, &s->images);
}

static void build(void *self, flt_task_model *m) {
    const digits_mlp *s = self;
    const flt_dataset *d = s->images.data;
    const flt_image_inputs in = flt_images_inputs(&s->images, m);
    const flt_node logits = flt_mlp_apply(m, "layers", &s->mlp, in.pixels, d->height * d->width, d->classes);
    flt_classify(m, logits, in.labels, d->classes);
}

static const flt_graph_task task = {
    .size = sizeof(digits_mlp),
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
