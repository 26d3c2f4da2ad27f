// SPDX-License-Identifier: MIT
// Does a dashed path join the two dots of a picture? A transformer over all its pixels, with any attention mechanism and learned
// encoding.
//
//   x = sum over a patch of embed[place, symbol] [+ absolute], blocks as in engine/transformer.h with positions (row, column),
//   loss = mean_batch -log softmax(mean over the tokens of the two dots of x V + v)[joined]
//
// Pictures without end, engine/pathfinder.h: number k of a split follows (seed, split, k), minibatch s holds numbers s batch ..
// s batch + batch - 1, evaluation those from 0; half of them are joined. With shortest, easier pictures are among those that are
// trained on: models that see nothing at first find the short paths, and from there the long ones. Tensors embed [3 patch^2,
// width] ~ N(0, 1/patch^2), absolute [tokens, width], blocks.I.{norm1,attention,norm2,up,down}, norm, head.w, head.b. Y. Tay et
// al., Long Range Arena, ICLR 2021; there pictures are grey, every pixel is a token and the head reads their mean: here a pixel
// is one of three symbols, and patch=1 and pool=mean are the way to the rest. Cost of a step: 6 batch tokens P flops beside the
// attention.
#include "engine/pathfinder.h"
#include "engine/layers.h"
#include "engine/transformer.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <string.h>

typedef struct pathfinder {
    flt_transformer body;
    flt_pathfinder pictures;
    size_t patch, shortest, examples;
    bool dots;       // the head reads their tokens
    flt_real *drawn; // [size, size]
} pathfinder;

static const flt_param_spec params[] = {
    FLTX_TRANSFORMER_PARAMS("32", "2", "flt"),
    {"size", FLTX_INT, "16", 8, 128, NULL, "pixels on a side"},
    {"patch", FLTX_INT, "4", 1, 16, NULL, "height and width of a token in pixels; 1: pixels are tokens"},
    {"length", FLTX_INT, "12", 3, 128, NULL, "pixels of the two long paths, gaps included; at most size"},
    {"shortest", FLTX_INT, "0", 0, 128, NULL,
     "training pictures have paths of shortest .. length pixels, evaluation those of length alone; 0: training as well"},
    {"distractors", FLTX_INT, "2", 0, 64, NULL, "other paths, half as long; those that find no place are left out"},
    {"dash", FLTX_INT, "2", 1, 16, NULL, "pixels of a dash"},
    {"gap", FLTX_INT, "1", 0, 16, NULL, "pixels between dashes; different paths are further apart"},
    {"bend", FLTX_REAL, "0.5", 0, 3.2, NULL, "largest turn of a path from pixel to pixel, radians"},
    {"pool", FLTX_ENUM, "dots", 0, 0, "mean|dots", "what the head reads: the mean over tokens, or over those of the two dots"},
    FLTX_GRID_PARAMS,
    {"batch", FLTX_INT, "4", 1, 4096, NULL, "pictures in a minibatch"},
    {"examples", FLTX_INT, "32", 1, 1000000, NULL, "pictures that the evaluation of a split goes over"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    static const char who[] = "task pathfinder";
    pathfinder *s = self;
    s->pictures = (flt_pathfinder){
        .size = flt_params_size(p, "size"),
        .length = flt_params_size(p, "length"),
        .distractors = flt_params_size(p, "distractors"),
        .dash = flt_params_size(p, "dash"),
        .gap = flt_params_size(p, "gap"),
        .bend = flt_params_real(p, "bend"),
    };
    s->examples = flt_params_size(p, "examples");
    FLTX_TRY(flt_pathfinder_open(who, &s->pictures));
    FLTX_TRY(flt_alloc(s->pictures.size * s->pictures.size, sizeof *s->drawn, &s->drawn));
    s->shortest = flt_params_size(p, "shortest");
    if (s->shortest == 0) s->shortest = s->pictures.length;
    if (s->shortest < 3 || s->shortest > s->pictures.length)
        return flt_fail(FLTE_RANGE, who, "shortest %zu; 0, or 3 .. the %zu of length", s->shortest, s->pictures.length);
    s->dots = strcmp(flt_params_text(p, "pool"), "dots") == 0;
    s->patch = flt_params_size(p, "patch");
    if (s->pictures.size % s->patch != 0)
        return flt_fail(FLTE_RANGE, who, "patches of %zu pixels do not tile a side of %zu", s->patch, s->pictures.size);
    FLTX_TRY(flt_heads_place_on_grid(p, s->pictures.size / s->patch, s->pictures.size / s->patch, &s->body.heads));
    return flt_transformer_open(who, p, &s->body);
}

static void close(void *self) {
    pathfinder *s = self;
    flt_pathfinder_close(&s->pictures);
    flt_free(s->drawn);
    flt_transformer_close(&s->body);
}

// Tokens: sums over a patch of a vector for each place and symbol.
static flt_node embed(flt_task_model *m, const pathfinder *s, flt_node pixels) {
    flt_graph *g = m->graph;
    const size_t area = s->patch * s->patch, width = s->body.heads.width, n = s->body.heads.n, count = m->rows * n;
    const flt_node table = flt_task_tensor(m, "embed", 2, (size_t[]){FLTX_PATHFINDER_SYMBOLS * area, width},
                                           (flt_task_init){.std = 1.0 / (double)s->patch});
    const flt_node x = flt_gather(g, table, pixels);
    return area == 1 ? x : flt_reduce_sum(g, flt_reshape(g, x, 3, (size_t[]){count, area, width}), 1u << 1, false);
}

// [rows n, width] -> [rows, width]
static flt_node pool(flt_task_model *m, const pathfinder *s, flt_node each) {
    flt_graph *g = m->graph;
    const size_t n = s->body.heads.n;
    const flt_node x = flt_reshape(g, each, 3, (size_t[]){m->rows, n, s->body.heads.width});
    if (!s->dots) return flt_reduce_mean(g, x, 1u << 1, false);
    return flt_reduce_sum(g, flt_mul(g, x, flt_task_input(m, "share", 3, (size_t[]){m->rows, n, 1})), 1u << 1, false);
}

static void build(void *self, flt_task_model *m) {
    const pathfinder *s = self;
    const size_t n = s->body.heads.n, width = s->body.heads.width, count = m->rows * n * s->patch * s->patch;
    const flt_node pixels = flt_task_input(m, "pixels", 1, &count), joined = flt_task_input(m, "joined", 1, &m->rows);
    const flt_node each = flt_transformer_apply(m, &s->body, embed(m, s, pixels), NULL);
    flt_classify(m, flt_dense(m, "head", pool(m, s, each), width, 2), joined, 2);
}

// Picture `number` of a stream, with long paths of its own length.
static size_t draw(pathfinder *s, flt_rng stream, uint64_t number, size_t shortest) {
    flt_pathfinder one = s->pictures; // shares its scratch
    one.length = shortest + flt_rng_below(flt_rng_child(stream, "length", number), 0, one.length - shortest + 1);
    return flt_pathfinder_draw(&one, stream, number, s->drawn);
}

// Half for each dot of a token.
static void put_share(const pathfinder *s, const flt_real *entry, flt_real *share) {
    const size_t n = s->body.heads.n, area = s->patch * s->patch;
    for (size_t i = 0; i < n; i++) {
        share[i] = 0;
        for (size_t k = 0; k < area; k++)
            if ((size_t)entry[i * area + k] % FLTX_PATHFINDER_SYMBOLS == FLTX_PATHFINDER_DOT) share[i] += (flt_real)0.5;
    }
}

// Pictures first .. first + rows - 1 of a split.
static void put(pathfinder *s, uint64_t seed, flt_split split, uint64_t first, size_t rows, flt_real *const *in) {
    const flt_rng stream = flt_rng_make(seed, "pathfinder", (uint64_t)split);
    const size_t pixels = s->pictures.size * s->pictures.size;
    const size_t shortest = split == FLTX_TRAIN ? s->shortest : s->pictures.length;
    for (size_t i = 0; i < rows; i++) {
        in[1][i] = (flt_real)draw(s, stream, first + i, shortest);
        flt_pathfinder_cut(&s->pictures, s->patch, s->drawn, in[0] + i * pixels);
        if (s->dots) put_share(s, in[0] + i * pixels, in[2] + i * s->body.heads.n);
    }
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    put(self, which.seed, which.split, which.step * rows, rows, in);
}

static size_t split_rows(void *self, flt_split split) {
    const pathfinder *s = self;
    (void)split;
    return s->examples;
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    put(self, which.seed, which.split, which.first, which.rows, in);
}

static const flt_graph_task task = {
    .size = sizeof(pathfinder),
    .open = open,
    .close = close,
    .build = build,
    .batch = batch,
    .split_rows = split_rows,
    .examples = examples,
    .eval_rows = FLTX_TASK_EVAL_TOKEN_ROWS,
};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_pathfinder = {
    .kind = {.name = "pathfinder",
             .summary = "transformer that sees whether a dashed path joins two dots, any attention and 2-D encoding",
             .formula = "mean over the batch of -log softmax(transformer(patches))[joined]",
             .cost = "time O(batch tokens P) and the attention's, memory O(P + batch tokens width depth)",
             .citation = "Y. Tay et al., Long Range Arena, ICLR 2021; D. Linsley et al., NeurIPS 2018",
             .caps = FLTX_TASK_STOCHASTIC,
             .params = params},
    .create = create,
};
