// SPDX-License-Identifier: MIT
// flt attend MECHANISM --in IN.safetensors --out OUT.safetensors: one attention on tensors of the user's own.
#include "engine/args.h"
#include "engine/session.h"
#include "engine/tensors.h"
#include "engine/verb.h"
#include "flt/attention.h"
#include "flt/memory.h"
#include "flt/num.h"

#include <stdio.h>
#include <string.h>

enum { KEY_IN = FLTX_KEY_VERB, KEY_OUT, KEY_CAUSAL, MAX_ARGS = 32 };

typedef struct input {
    flt_common common;
    const char *mechanism, *in, *out;
    bool causal;
} input;

// Everything the verb owns, released in one place.
typedef struct job {
    const input *input;
    flt_tensors *file;
    flt_params *params;
    flt_attention *plan;
    flt_tensor_writer *writer;
    flt_attention_desc desc;
    flt_attention_arg args[MAX_ARGS];
    double *arg_data[MAX_ARGS];
    flt_real *q, *k, *v, *result;
    bool x;                  // one input in place of q, k, v
    const flt_tensor *shape; // of q
} job;

static const struct argp_option options[] = {
    {"in", KEY_IN, "FILE", 0, "safetensors with q, k [B,H,N,d] or [N,d], v, and any argument of the mechanism", 1},
    {"out", KEY_OUT, "FILE", 0, "where `out` and every array that was used are written", 1},
    {"causal", KEY_CAUSAL, NULL, 0, "position i sees positions 0 .. i only", 1},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_IN:
        in->in = flt_arg_file(state, "in", arg);
        return 0;
    case KEY_OUT:
        in->out = flt_arg_file(state, "out", arg);
        return 0;
    case KEY_CAUSAL:
        in->causal = true;
        return 0;
    case ARGP_KEY_ARG:
        if (flt_common_take(&in->common, arg)) return 0;
        if (in->mechanism != NULL) argp_error(state, "'%s': one mechanism at a time", arg);
        in->mechanism = arg;
        return 0;
    case ARGP_KEY_END:
        if (in->mechanism == NULL) argp_error(state, "name a mechanism (see `flt list attention`)");
        if (in->in == NULL || in->out == NULL) argp_error(state, "--in FILE and --out FILE are needed");
        flt_arg_distinct(state, &in->common, 2, (const flt_arg_path[]){{"in", in->in}, {"out", in->out}});
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void take_shape(job *j, const flt_tensor *q, const flt_tensor *v) {
    const size_t *tail = q->dim + q->rank - 2;
    j->shape = q;
    j->desc.B = q->rank == 4 ? q->dim[0] : 1;
    j->desc.H = q->rank == 4 ? q->dim[1] : 1;
    j->desc.N = tail[0];
    j->desc.d = tail[1];
    j->desc.dv = v->dim[v->rank - 1];
}

// One input in place of three.
static flt_err read_x(job *j) {
    const flt_tensor *x = NULL;
    FLTX_TRY(flt_need_tensor("attend", j->input->in, j->file, "x", &x));
    if (x->rank != 2 && x->rank != 4)
        return flt_fail(FLTE_SHAPE, "attend", "x has rank %zu; it must be [N, d] or [B, H, N, d]", x->rank);
    take_shape(j, x, x);
    return flt_copy_real(x, &j->q);
}

// x is read by mechanisms that know it, always where they know nothing else, else where the file has it.
static bool reads_x(const flt_attention_kind *kind, const flt_tensors *file) {
    if ((kind->kind.caps & FLTX_ATT_X) == 0) return false;
    for (size_t i = 0; i < flt_tensors_count(file); i++)
        if (strcmp(flt_tensors_at(file, i)->name, "x") == 0) return true;
    return (kind->kind.caps & FLTX_ATT_MIXING) != 0;
}

// q decides rank, B, H, N, d; k must equal it; v may differ in its last axis.
static flt_err read_qkv(job *j) {
    if (j->x) return read_x(j);
    const char *path = j->input->in;
    const flt_tensor *q = NULL, *k = NULL, *v = NULL;
    FLTX_TRY(flt_need_tensor("attend", path, j->file, "q", &q));
    FLTX_TRY(flt_need_tensor("attend", path, j->file, "k", &k));
    FLTX_TRY(flt_need_tensor("attend", path, j->file, "v", &v));
    if (q->rank != 2 && q->rank != 4)
        return flt_fail(FLTE_SHAPE, "attend", "q has rank %zu; it must be [N, d] or [B, H, N, d]", q->rank);
    FLTX_TRY(flt_tensor_expect("attend", k, q->rank, q->dim));
    size_t expected[FLTX_MAX_RANK];
    memcpy(expected, q->dim, sizeof expected);
    expected[q->rank - 1] = SIZE_MAX;
    FLTX_TRY(flt_tensor_expect("attend", v, q->rank, expected));
    take_shape(j, q, v);
    FLTX_TRY(flt_copy_real(q, &j->q));
    FLTX_TRY(flt_copy_real(k, &j->k));
    return flt_copy_real(v, &j->v);
}

// The half-width v of local encodings goes by another name in files, where `v` holds the values.
static const char *argument_name(const flt_tensor *t) {
    return strcmp(t->name, "half_width") == 0 ? "v" : t->name;
}

// Every other tensor of the file is an argument of the mechanism.
static flt_err read_args(job *j) {
    for (size_t i = 0; i < flt_tensors_count(j->file); i++) {
        const flt_tensor *t = flt_tensors_at(j->file, i);
        if (j->x && strcmp(t->name, "x") == 0) continue;
        if (strcmp(t->name, "q") == 0 || strcmp(t->name, "k") == 0 || strcmp(t->name, "v") == 0) continue;
        const size_t n = j->desc.n_args;
        if (n == MAX_ARGS) return flt_fail(FLTE_FORMAT, "attend", "%s holds more than %d arguments", j->input->in, MAX_ARGS);
        const bool bias = strcmp(t->name, "bias") == 0 || strcmp(t->name, "lag_bias") == 0; // may hide keys: the plan judges it
        if (!bias) FLTX_TRY(flt_tensor_finite("attend", t));
        FLTX_TRY(flt_alloc(t->count, sizeof(double), &j->arg_data[n]));
        flt_tensor_to_double(t, j->arg_data[n]);
        j->args[n] = (flt_attention_arg){.name = argument_name(t), .rank = t->rank, .data = j->arg_data[n]};
        memcpy(j->args[n].dim, t->dim, sizeof t->dim);
        j->desc.n_args++;
    }
    j->desc.args = j->args;
    return FLTE_OK;
}

// The library's sentences call the half-width v.
static flt_err create(job *j) {
    const flt_err err = flt_attention_create(&j->desc, &j->plan);
    const bool half_width = err != FLTE_OK && strstr(flt_error(), "argument 'v'") != NULL;
    return half_width ? flt_context(err, "its name in the file is half_width, beside the values v") : err;
}

// Mechanisms that code queries and keys keep the codes here, so that OUT shows them.
static flt_err keep_codes(const flt_attention_kind *kind, flt_params *params) {
    for (const flt_param_spec *s = kind->kind.params; s != NULL && s->name != NULL; s++) {
        if (strcmp(s->name, "keep_codes") == 0 && !flt_params_is_set(params, s->name))
            return flt_params_set(params, s->name, "true");
    }
    return FLTE_OK;
}

static flt_err plan(job *j) {
    const flt_attention_kind *kind = NULL;
    char who[128];
    FLTX_TRY(flt_attention_find(j->input->mechanism, &kind));
    snprintf(who, sizeof who, "attention %s", j->input->mechanism);
    FLTX_TRY(flt_params_create(who, kind->kind.params, &j->params));
    FLTX_TRY(flt_common_apply(&j->input->common, j->params));
    FLTX_TRY(keep_codes(kind, j->params));
    FLTX_TRY(flt_tensors_read(j->input->in, &j->file));
    j->desc = (flt_attention_desc){.mechanism = j->input->mechanism,
                                   .causal = j->input->causal,
                                   .params = j->params,
                                   .seed = j->input->common.seed,
                                   .threads = j->input->common.threads};
    j->x = reads_x(kind, j->file);
    FLTX_TRY(read_qkv(j));
    FLTX_TRY(read_args(j));
    return create(j);
}

// The draws are doubles; positions, frequencies and ratios keep them, the rest goes out as it was computed with.
static flt_err add_draws(job *j) {
    flt_attention_arg used[MAX_ARGS];
    const size_t n = flt_attention_draws(j->plan, MAX_ARGS, used);
    for (size_t i = 0; i < n; i++) {
        const bool code = strcmp(used[i].name, "qhat") == 0 || strcmp(used[i].name, "khat") == 0;
        const size_t skip = code && j->shape->rank == 2 ? 2 : 0; // as q came: [N, R] beside [N, d]
        FLTX_TRY(flt_tensor_writer_add(j->writer, strcmp(used[i].name, "v") == 0 ? "half_width" : used[i].name, FLTX_F64,
                                       used[i].rank - skip, used[i].dim + skip, used[i].data));
    }
    return FLTE_OK;
}

// Rows that came out otherwise than by the formula are told: who compares them should know.
static flt_err tell_flagged(const job *j) {
    char number[32];
    const size_t flagged = flt_attention_flagged(j->plan), rows = j->desc.B * j->desc.H * flt_attention_rows(j->plan);
    if (flagged > 0 && !j->input->common.quiet)
        fprintf(stderr, "flt attend: %zu of %zu rows of %s: the denominator vanished, was lost in rounding or saw no key\n",
                flagged, rows, j->input->mechanism);
    snprintf(number, sizeof number, "%zu", flagged);
    return flt_tensor_writer_meta(j->writer, "flagged_rows", number);
}

static flt_err save(job *j) {
    size_t dim[FLTX_MAX_RANK], bad = 0;
    memcpy(dim, j->shape->dim, sizeof dim);
    dim[j->shape->rank - 1] = j->desc.dv;
    dim[j->shape->rank - 2] = flt_attention_rows(j->plan);
    const size_t count = j->desc.B * j->desc.H * flt_attention_rows(j->plan) * j->desc.dv;
    if (!flt_all_finite(count, j->result, &bad))
        return flt_fail(FLTE_NUMERIC, "attend", "the output of %s is not finite from element %zu on; nothing was written",
                        j->input->mechanism, bad);
    FLTX_TRY(flt_tensor_writer_create(&j->writer));
    FLTX_TRY(flt_tensor_writer_real(j->writer, "out", j->shape->rank, dim, j->result));
    FLTX_TRY(add_draws(j));
    FLTX_TRY(flt_tensor_writer_meta(j->writer, "mechanism", j->input->mechanism));
    FLTX_TRY(flt_tensor_writer_meta(j->writer, "causal", j->input->causal ? "true" : "false"));
    FLTX_TRY(tell_flagged(j));
    return flt_tensor_writer_save(j->writer, j->input->out);
}

static flt_err attend(job *j) {
    FLTX_TRY(flt_write_possible(j->input->out));
    FLTX_TRY(plan(j));
    FLTX_TRY(flt_alloc(j->desc.B * j->desc.H * j->desc.N, j->desc.dv * sizeof(flt_real), &j->result));
    flt_attention_forward(j->plan, j->q, j->x ? j->q : j->k, j->x ? j->q : j->v, j->result);
    return save(j);
}

static void release(job *j) {
    flt_tensor_writer_destroy(j->writer);
    flt_attention_destroy(j->plan);
    flt_params_destroy(j->params);
    flt_tensors_destroy(j->file);
    for (size_t i = 0; i < MAX_ARGS; i++) flt_free(j->arg_data[i]);
    flt_free(j->q);
    flt_free(j->k);
    flt_free(j->v);
    flt_free(j->result);
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "MECHANISM --in IN.safetensors --out OUT.safetensors",
        "Runs one attention mechanism on tensors of your own, so that its numbers can be held against any other code.\v"
        "Besides q, k and v the input may hold `pos` [N,l] (default 0 .. N-1) and the mechanism's arguments, shared by the heads "
        "or with a "
        "leading H: bias [N,N] or lag_bias [2N-1] (b of key minus query, at index j-i+N-1) for exact; omega [m,d] for performer; "
        "xi [r,l], "
        "rho [r], omega [m,d+2r] for flt (or w [T], mu [T,l], s2 [T] in place of rho: rho = g/p, p = N(0,I)). An encoding that "
        "--set rpe=NAME names takes the arguments of `flt list rpe`; its half-width v is half_width there. What is not given "
        "is drawn "
        "from the seed and written to OUT.\n\nexample:\n  flt attend flt --in qkv.safetensors --out o.safetensors --causal --set "
        "m=256",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults()};
    flt_parse(&argp, argc, argv, &in);
    job j = {.input = &in};
    const flt_err err = attend(&j);
    release(&j);
    return flt_report("attend", err);
}

const flt_verb_kind flt_verb_kind_attend = {
    .kind = {.name = "attend", .summary = "run one attention mechanism on tensors of your own"}, .run = run};
