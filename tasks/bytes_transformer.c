// SPDX-License-Identifier: MIT
// A transformer language model of bytes: each byte of a window is predicted from those before, by any causal attention mechanism
// with a learned relative encoding.
//
//   x = embed[bytes] [+ absolute], blocks as in engine/transformer.h, loss = mean over batch and t of -log softmax(x_t V +
//   v)[byte t+1]
//
// Tensors embed [symbols, width] ~ N(0, 1), absolute [length, width], blocks.I.{norm1,attention,norm2,up,down}, norm, head.w,
// head.b. Text, split and windows as in bytes_rnn; evaluation cuts the whole split into windows, each predicted from its own
// start. A. Vaswani et al., Attention is all you need, NeurIPS 2017. Cost of a step: 6 batch length P flops beside the attention;
// memory O(batch length width expansion depth).
#include "engine/layers.h"
#include "engine/text.h"
#include "engine/transformer.h"
#include "flt/tasks.h"

#include <math.h>

typedef struct bytes_transformer {
    flt_transformer body;
    double order2; // bits per byte
    flt_text text;
} bytes_transformer;

static const flt_param_spec params[] = {
    FLTX_TRANSFORMER_PARAMS("32", "2", "flt"),
    {"length", FLTX_INT, "32", 1, 16384, NULL, "bytes in a window"},
    {"batch", FLTX_INT, "16", 1, 4096, NULL, "windows in a minibatch"},
    {"text", FLTX_TEXT, "licences", 0, 0, NULL, "licences, the texts in /usr/share/common-licenses, or a file"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    static const char who[] = "task bytes_transformer";
    bytes_transformer *s = self;
    s->body.heads.n = flt_params_size(p, "length");
    s->body.heads.l = 1;
    s->body.heads.causal = true;
    FLTX_TRY(flt_transformer_open(who, p, &s->body));
    FLTX_TRY(flt_text_open(who, flt_params_text(p, "text"), s->body.heads.n + 1, &s->text));
    return flt_text_order2(&s->text, &s->order2);
}

static void close(void *self) {
    bytes_transformer *s = self;
    flt_transformer_close(&s->body);
    flt_text_close(&s->text);
}

static void build(void *self, flt_task_model *m) {
    const bytes_transformer *s = self;
    const size_t count = m->rows * s->body.heads.n, width = s->body.heads.width, symbols = s->text.symbols;
    const flt_node bytes = flt_task_input(m, "symbols", 1, &count), next = flt_task_input(m, "next", 1, &count);
    const flt_node embed = flt_task_tensor(m, "embed", 2, (size_t[]){symbols, width}, (flt_task_init){.std = 1.0});
    const flt_node x = flt_transformer_apply(m, &s->body, flt_gather(m->graph, embed, bytes), NULL);
    flt_classify(m, flt_dense(m, "head", x, width, symbols), next, symbols);
    m->metric = flt_scale(m->graph, m->loss, 1.0 / log(2.0));
    m->metric_name = "bits_per_byte";
    m->baseline_name = "order-2 byte model";
    m->baseline = s->order2;
}

// Row i: the window that begins at `begin`.
static void put(const bytes_transformer *s, size_t begin, size_t i, flt_real *const *in) {
    const size_t n = s->body.heads.n;
    for (size_t t = 0; t < n; t++) {
        in[0][i * n + t] = (flt_real)s->text.symbol[begin + t];
        in[1][i * n + t] = (flt_real)s->text.symbol[begin + t + 1];
    }
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    const bytes_transformer *s = self;
    for (size_t i = 0; i < rows; i++) put(s, flt_text_random(&s->text, which, i, s->body.heads.n), i, in);
}

static size_t split_rows(void *self, flt_split split) {
    const bytes_transformer *s = self;
    return flt_text_windows(&s->text, split, s->body.heads.n);
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    const bytes_transformer *s = self;
    for (size_t i = 0; i < which.rows; i++)
        put(s, flt_text_window(&s->text, which.split, which.first + i, s->body.heads.n), i, in);
}

static const flt_graph_task task = {
    .size = sizeof(bytes_transformer),
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

const flt_task_kind flt_task_kind_bytes_transformer = {
    .kind = {.name = "bytes_transformer",
             .summary = "transformer language model of bytes, any causal attention and encoding",
             .formula = "mean over batch and time of -log softmax(transformer(bytes so far))[next byte]",
             .cost = "time O(batch length P) and the attention's, memory O(P + batch length width depth)",
             .citation = "A. Vaswani et al., Attention is all you need, NeurIPS 2017",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_DATA | FLTX_TASK_ERROR,
             .params = params},
    .create = create,
};
