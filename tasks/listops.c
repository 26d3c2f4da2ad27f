// SPDX-License-Identifier: MIT
// The value of an expression of nested lists, "[MAX 2 9 [MIN 4 7 ] 0 ]", from its tokens: a transformer with any attention
// mechanism and learned encoding.
//
//   x = embed[tokens] [+ levels] [+ absolute], blocks as in engine/transformer.h, loss = mean_batch -log softmax(mean over the
//   tokens that are no padding, or the root's token alone, of x V + v)[value]
//
// levels=true tells how many lists are around a token, which a model has to count otherwise: the Long Range Arena does not.
// Expressions without end, engine/listops.h: number k of a split follows (seed, split, k), minibatch s holds numbers s batch ..
// s batch + batch - 1, evaluation those from 0. Shorter ones are padded by a symbol that attention sees as any other. Tensors
// embed [16, width] ~ N(0, 1), levels [nesting + 1, width] ~ N(0, 1), absolute [length, width],
// blocks.I.{norm1,attention,norm2,up,down}, norm, head.w, head.b. Chance is not a tenth: the outermost operator alone tells much.
// Y. Tay et al., Long Range Arena, ICLR 2021. Cost of a step: 6 batch length P flops beside the attention.
#include "engine/listops.h"
#include "engine/layers.h"
#include "engine/transformer.h"
#include "flt/tasks.h"

#include <string.h>

typedef struct listops {
    flt_transformer body;
    flt_listops lists;
    size_t examples;
    bool levels, first; // first: the root's token is read
} listops;

static const flt_param_spec params[] = {
    FLTX_TRANSFORMER_PARAMS("32", "2", "flt"),
    {"length", FLTX_INT, "100", 4, 16384, NULL, "tokens of the longest expression; the Long Range Arena has 2000"},
    {"shortest", FLTX_INT, "0", 0, 16384, NULL, "tokens of the shortest, 4 or more; 0: half of length, at least 4"},
    {"nesting", FLTX_INT, "10", 1, 64, NULL, "lists within lists at most"},
    {"arguments", FLTX_INT, "10", 4, FLTX_LISTOPS_ARGUMENTS, NULL, "members of a list at most"},
    {"pool", FLTX_ENUM, "mean", 0, 0, "mean|first", "what the head reads: the mean over tokens, or the first token"},
    {"levels", FLTX_BOOL, "false", 0, 0, NULL, "a learned vector for the number of lists around a token is added to it"},
    {"batch", FLTX_INT, "8", 1, 4096, NULL, "expressions in a minibatch"},
    {"examples", FLTX_INT, "64", 1, 1000000, NULL, "expressions that the evaluation of a split goes over"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    static const char who[] = "task listops";
    listops *s = self;
    flt_listops *l = &s->lists;
    l->longest = flt_params_size(p, "length");
    l->shortest = flt_params_size(p, "shortest");
    if (l->shortest == 0) l->shortest = l->longest < 8 ? 4 : l->longest / 2;
    l->nesting = flt_params_size(p, "nesting");
    l->arguments = flt_params_size(p, "arguments");
    s->examples = flt_params_size(p, "examples");
    s->first = strcmp(flt_params_text(p, "pool"), "first") == 0;
    s->levels = flt_params_bool(p, "levels");
    s->body.heads.n = l->longest;
    s->body.heads.l = 1;
    FLTX_TRY(flt_listops_open(who, l));
    return flt_transformer_open(who, p, &s->body);
}

static void close(void *self) {
    listops *s = self;
    flt_listops_close(&s->lists);
    flt_transformer_close(&s->body);
}

static flt_node level_table(flt_task_model *m, const listops *s) {
    return flt_task_tensor(m, "levels", 2, (size_t[]){s->lists.nesting + 1, s->body.heads.width}, (flt_task_init){.std = 1.0});
}

static void build(void *self, flt_task_model *m) {
    const listops *s = self;
    const size_t n = s->body.heads.n, width = s->body.heads.width, count = m->rows * n;
    flt_graph *g = m->graph;
    const flt_node tokens = flt_task_input(m, "tokens", 1, &count);
    const flt_node share = flt_task_input(m, "share", 3, (size_t[]){m->rows, n, 1});
    const flt_node values = flt_task_input(m, "values", 1, &m->rows);
    const flt_node embed = flt_task_tensor(m, "embed", 2, (size_t[]){FLTX_LISTOPS_SYMBOLS, width}, (flt_task_init){.std = 1.0});
    flt_node x = flt_gather(g, embed, tokens);
    if (s->levels) x = flt_add(g, x, flt_gather(g, level_table(m, s), flt_task_input(m, "levels", 1, &count)));
    const flt_node each = flt_transformer_apply(m, &s->body, x, NULL);
    const flt_node shared = flt_mul(g, flt_reshape(g, each, 3, (size_t[]){m->rows, n, width}), share);
    const flt_node mean = flt_reduce_sum(g, shared, 1u << 1, false);
    flt_classify(m, flt_dense(m, "head", mean, width, FLTX_LISTOPS_CLASSES), values, FLTX_LISTOPS_CLASSES);
}

// How much of each token the head reads.
static flt_real share(const listops *s, size_t token, size_t length) {
    if (s->first) return token == 0;
    return token < length ? (flt_real)(1.0 / (double)length) : 0;
}

// Expressions first .. first + rows - 1 of a stream.
static void put(listops *s, flt_rng stream, uint64_t first, size_t rows, flt_real *const *in) {
    const size_t n = s->body.heads.n;
    for (size_t i = 0; i < rows; i++) {
        const flt_rng r = flt_rng_child(stream, "expression", first + i);
        const flt_expression e = flt_listops_draw(&s->lists, r, in[0] + i * n);
        for (size_t t = 0; t < n; t++) in[1][i * n + t] = share(s, t, e.length);
        if (s->levels) flt_listops_levels(n, in[0] + i * n, in[3] + i * n);
        in[2][i] = (flt_real)e.value;
    }
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    put(self, flt_rng_make(which.seed, "listops", (uint64_t)which.split), which.step * rows, rows, in);
}

static size_t split_rows(void *self, flt_split split) {
    const listops *s = self;
    (void)split;
    return s->examples;
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    put(self, flt_rng_make(which.seed, "listops", (uint64_t)which.split), which.first, which.rows, in);
}

static const flt_graph_task task = {
    .size = sizeof(listops),
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

const flt_task_kind flt_task_kind_listops = {
    .kind = {.name = "listops",
             .summary = "transformer that evaluates nested MIN, MAX, MED, SM of digits, any attention and encoding",
             .formula = "mean over the batch of -log softmax(transformer(tokens))[value]",
             .cost = "time O(batch length P) and the attention's, memory O(P + batch length width depth)",
             .citation = "Y. Tay et al., Long Range Arena, ICLR 2021; N. Nangia, S. Bowman, ListOps, NAACL-SRW 2018",
             .caps = FLTX_TASK_STOCHASTIC,
             .params = params},
    .create = create,
};
