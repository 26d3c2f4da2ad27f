// SPDX-License-Identifier: MIT
// A recurrent language model of bytes: a GRU predicts each byte of a window from those before.
//
//   z, r = sigmoid(x_t W_z + h U_z + b_z), sigmoid(x_t W_r + h U_r + b_r),   n = tanh(x_t W_n + b_n + r * (h U_n + c))
//   h_t = (1 - z) * n + z * h_{t-1},  h_0 = 0;   loss = mean over batch and t of -log softmax(h_t V + v)[byte_{t+1}]
//
// Tensors embed [symbols, embedding] ~ N(0, 1), gru.x.w [embedding, 3 width], gru.u [width, 3 width] ~ N(0, 1 / in), gru.x.b,
// gru.c, head.w, head.b. The text is the system's licences (one version of each, repeated paragraphs dropped) or a file, cut
// 80/10/10; symbols are the bytes that occur. Training windows start anywhere in the split; evaluation cuts the whole split into
// windows. K. Cho et al., EMNLP 2014; n as in cuDNN. Cost of a step: 6 batch length P flops; memory O(batch length width) and a
// graph of O(length) nodes.
#include "engine/layers.h"
#include "engine/text.h"
#include "flt/tasks.h"

#include <math.h>

typedef struct bytes_rnn {
    size_t width, embedding, length;
    double order2; // bits per byte
    flt_text text;
} bytes_rnn;

static const flt_param_spec params[] = {
    {"width", FLTX_INT, "32", 1, 1024, NULL, "units of the GRU"},
    {"embedding", FLTX_INT, "16", 1, 1024, NULL, "numbers for each symbol"},
    {"length", FLTX_INT, "16", 1, 256, NULL, "bytes in a window"},
    {"batch", FLTX_INT, "16", 1, 4096, NULL, "windows in a minibatch"},
    {"text", FLTX_TEXT, "licences", 0, 0, NULL, "licences, the texts in /usr/share/common-licenses, or a file"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    bytes_rnn *s = self;
    s->width = flt_params_size(p, "width");
    s->embedding = flt_params_size(p, "embedding");
    s->length = flt_params_size(p, "length");
    FLTX_TRY(flt_text_open("task bytes_rnn", flt_params_text(p, "text"), s->length + 1, &s->text));
    return flt_text_order2(&s->text, &s->order2);
}

static void close(void *self) {
    bytes_rnn *s = self;
    flt_text_close(&s->text);
}

// Columns k width .. (k + 1) width - 1: one of the three gates.
static flt_node gate(flt_graph *g, flt_node x, size_t k, size_t width) {
    return flt_slice(g, x, 1, k * width, width);
}

typedef struct gru {
    flt_node u, c; // [width, 3 width], [width]
    size_t width;
} gru;

// from [rows, 3 width]: what the input gives to the gates
static flt_node advance(flt_graph *g, const gru *cell, flt_node from, flt_node h) {
    const size_t n = cell->width;
    const flt_node past = flt_matmul(g, h, cell->u, false, false);
    const flt_node z = flt_sigmoid(g, flt_add(g, gate(g, from, 0, n), gate(g, past, 0, n)));
    const flt_node r = flt_sigmoid(g, flt_add(g, gate(g, from, 1, n), gate(g, past, 1, n)));
    const flt_node kept = flt_mul(g, r, flt_add(g, gate(g, past, 2, n), cell->c));
    const flt_node fresh = flt_tanh(g, flt_add(g, gate(g, from, 2, n), kept));
    return flt_add(g, fresh, flt_mul(g, z, flt_sub(g, h, fresh)));
}

// [rows length, width], ordered by time, then row.
static flt_node run(const bytes_rnn *s, flt_task_model *m, flt_node symbols) {
    flt_graph *g = m->graph;
    const size_t n = s->width, dim[] = {m->rows, n};
    const flt_node embed = flt_task_tensor(m, "embed", 2, (size_t[]){s->text.symbols, s->embedding}, (flt_task_init){.std = 1.0});
    const flt_node from = flt_dense(m, "gru.x", flt_gather(g, embed, symbols), s->embedding, 3 * n);
    const flt_task_init init = {.std = 1.0 / sqrt((double)n)};
    const gru cell = {
        .u = flt_task_tensor(m, "gru.u", 2, (size_t[]){n, 3 * n}, init),
        .c = flt_task_tensor(m, "gru.c", 1, &n, (flt_task_init){0}),
        .width = n,
    };
    flt_node h = flt_broadcast(g, flt_scalar(g, 0.0), 2, dim), all[256];
    for (size_t t = 0; t < s->length; t++) all[t] = h = advance(g, &cell, flt_slice(g, from, 0, t * m->rows, m->rows), h);
    return flt_concat(g, s->length, all, 0);
}

static void build(void *self, flt_task_model *m) {
    const bytes_rnn *s = self;
    const size_t count = m->rows * s->length;
    const flt_node symbols = flt_task_input(m, "symbols", 1, &count), next = flt_task_input(m, "next", 1, &count);
    const flt_node hidden = run(s, m, symbols);
    flt_classify(m, flt_dense(m, "head", hidden, s->width, s->text.symbols), next, s->text.symbols);
    m->metric = flt_scale(m->graph, m->loss, 1.0 / log(2.0));
    m->metric_name = "bits_per_byte";
    m->baseline_name = "order-2 byte model";
    m->baseline = s->order2;
}

// Window i of `rows` begins at `begin`: symbol t goes to [t, i].
static void put(const bytes_rnn *s, size_t begin, size_t i, size_t rows, flt_real *const *in) {
    for (size_t t = 0; t < s->length; t++) {
        in[0][t * rows + i] = (flt_real)s->text.symbol[begin + t];
        in[1][t * rows + i] = (flt_real)s->text.symbol[begin + t + 1];
    }
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    const bytes_rnn *s = self;
    for (size_t i = 0; i < rows; i++) put(s, flt_text_random(&s->text, which, i, s->length), i, rows, in);
}

static size_t split_rows(void *self, flt_split split) {
    const bytes_rnn *s = self;
    return flt_text_windows(&s->text, split, s->length);
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    const bytes_rnn *s = self;
    for (size_t i = 0; i < which.rows; i++)
        put(s, flt_text_window(&s->text, which.split, which.first + i, s->length), i, which.rows, in);
}

static const flt_graph_task task = {
    .size = sizeof(bytes_rnn),
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

const flt_task_kind flt_task_kind_bytes_rnn = {
    .kind = {.name = "bytes_rnn",
             .summary = "recurrent (GRU) language model of bytes",
             .formula = "mean over batch and time of -log softmax(gru(bytes so far))[next byte]",
             .cost = "time O(batch length P), memory O(P + batch length width)",
             .citation = "K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_DATA | FLTX_TASK_ERROR,
             .params = params},
    .create = create,
};
