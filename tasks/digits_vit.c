// SPDX-License-Identifier: MIT
// Vision transformer on real optical digits, or on the images of a folder of IDX files: patches (or pixels) are tokens on a grid.
//
//   x = patches W + b [+ absolute], blocks as in engine/transformer.h with positions (row, column), loss = mean_batch -log
//   softmax(mean over tokens of x V + v)[label]
//
// Tensors embed.w [patch^2, width], embed.b, absolute [tokens, width], blocks.I.{norm1,attention,norm2,up,down}, norm, head.w,
// head.b. positions=sequence numbers the tokens row by row, for mechanisms that live on sequences. A. Dosovitskiy et al., An
// image is worth 16x16 words, ICLR 2021; no class token. Images, augmentation and splits as in digits_mlp. Cost of a step: 6
// batch tokens P flops beside the attention.
#include "engine/images.h"
#include "engine/layers.h"
#include "engine/transformer.h"
#include "flt/tasks.h"

typedef struct digits_vit {
    flt_images images; // first
    flt_transformer body;
    size_t patch;
} digits_vit;

static const flt_param_spec params[] = {
    FLTX_TRANSFORMER_PARAMS("32", "2", "flt"),
    {"patch", FLTX_INT, "2", 1, 64, NULL, "height and width of a token in pixels; 1: pixels are tokens"},
    FLTX_GRID_PARAMS,
    FLTX_IMAGES_PARAMS,
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    static const char who[] = "task digits_vit";
    digits_vit *s = self;
    FLTX_TRY(flt_images_open(who, p, &s->images));
    const flt_dataset *d = s->images.data;
    s->patch = flt_params_size(p, "patch");
    if (d->height % s->patch != 0 || d->width % s->patch != 0)
        return flt_fail(FLTE_RANGE, who, "patches of %zu pixels do not tile images of %zu x %zu", s->patch, d->height, d->width);
    FLTX_TRY(flt_heads_place_on_grid(p, d->height / s->patch, d->width / s->patch, &s->body.heads));
    return flt_transformer_open(who, p, &s->body);
}

static void close(void *self) {
    digits_vit *s = self;
    flt_images_close(&s->images);
    flt_transformer_close(&s->body);
}

// [rows, height width] -> [rows tokens, patch^2]
static flt_node cut(const digits_vit *s, flt_task_model *m, flt_node pixels) {
    const size_t p = s->patch, down = s->images.data->height / p, right = s->images.data->width / p;
    const flt_node tiles = flt_reshape(m->graph, pixels, 5, (size_t[]){m->rows, down, p, right, p});
    const flt_node grouped = flt_transpose(m->graph, tiles, (size_t[]){0, 1, 3, 2, 4});
    return flt_reshape(m->graph, grouped, 2, (size_t[]){m->rows * down * right, p * p});
}

static void build(void *self, flt_task_model *m) {
    const digits_vit *s = self;
    const size_t n = s->body.heads.n, width = s->body.heads.width, classes = s->images.data->classes;
    flt_graph *g = m->graph;
    const flt_image_inputs in = flt_images_inputs(&s->images, m);
    const flt_node tokens = flt_dense(m, "embed", cut(s, m, in.pixels), s->patch * s->patch, width);
    const flt_node x = flt_reshape(g, flt_transformer_apply(m, &s->body, tokens, NULL), 3, (size_t[]){m->rows, n, width});
    flt_classify(m, flt_dense(m, "head", flt_reduce_mean(g, x, 1u << 1, false), width, classes), in.labels, classes);
}

static const flt_graph_task task = {
    .size = sizeof(digits_vit),
    .open = open,
    .close = close,
    .build = build,
    .batch = flt_images_task_batch,
    .split_rows = flt_images_task_rows,
    .examples = flt_images_task_examples,
    .eval_rows = FLTX_TASK_EVAL_TOKEN_ROWS,
};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_digits_vit = {
    .kind = {.name = "digits_vit",
             .summary = "vision transformer on optical digits (8x8) or IDX files, any attention and 2-D encoding",
             .formula = "mean over the batch of -log softmax(transformer(patches))[label]",
             .cost = "time O(batch tokens P) and the attention's, memory O(P + batch tokens width depth)",
             .citation =
                 "A. Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021; digits: Alpaydin, Kaynak 1998 (CC BY 4.0)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_DATA,
             .params = params},
    .create = create,
};
