// SPDX-License-Identifier: MIT
// Specs of attention nodes, and the plans that executors make from them. A plan takes new values of learned arguments only when
// they differ from those of its last run: the forward and the backward step of one pass update it once.
#include "graph/engine/attend.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Whether a backward pass is known to exist.
typedef struct flt_attend_derivative {
    bool found;
} flt_attend_derivative;

// ---- values

static void drop_values(size_t n, flt_attend_value *value) {
    for (size_t i = 0; value != NULL && i < n; i++) flt_free(value[i].data);
    flt_free(value);
}

static flt_err take_value(const char *who, const flt_attention_arg *arg, flt_attend_value *out) {
    if (strlen(arg->name) >= sizeof out->name) return flt_fail(FLTE_NAME, who, "argument '%.60s' is unknown", arg->name);
    *out = (flt_attend_value){.rank = arg->rank, .count = 1};
    snprintf(out->name, sizeof out->name, "%s", arg->name);
    for (size_t i = 0; i < arg->rank; i++) {
        out->dim[i] = arg->dim[i];
        if (!flt_mul_ok(out->count, arg->dim[i], &out->count))
            return flt_fail(FLTE_RANGE, who, "the size of argument '%s' overflows", arg->name);
    }
    FLTX_TRY(flt_alloc(out->count, sizeof *out->data, &out->data));
    memcpy(out->data, arg->data, out->count * sizeof *out->data);
    return FLTE_OK;
}

static flt_attention_arg as_arg(const flt_attend_value *v) {
    flt_attention_arg arg = {.name = v->name, .rank = v->rank, .data = v->data};
    memcpy(arg.dim, v->dim, sizeof arg.dim);
    return arg;
}

static flt_err as_args(size_t n, const flt_attend_value *value, flt_attention_arg **out) {
    *out = NULL;
    FLTX_TRY(flt_alloc(n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) (*out)[i] = as_arg(&value[i]);
    return FLTE_OK;
}

flt_err flt_attend_describe(const flt_attend_spec *s, flt_attention_arg **args, flt_attention_desc *out) {
    const size_t n = s->n_fixed + s->n_learned;
    FLTX_TRY(as_args(n, s->value, args));
    *out = (flt_attention_desc){.mechanism = s->kind->kind.name,
                                .B = 1,
                                .H = s->H,
                                .N = s->N,
                                .d = s->d,
                                .dv = s->dv,
                                .causal = s->causal,
                                .n_args = n,
                                .args = *args,
                                .params = s->params,
                                .seed = s->seed,
                                .threads = 1};
    return FLTE_OK;
}

double flt_attend_flops(const flt_attend_spec *s, bool backward) {
    const flt_attention_desc desc = {.mechanism = s->kind->kind.name,
                                     .B = s->B,
                                     .H = s->H,
                                     .N = s->N,
                                     .d = s->d,
                                     .dv = s->dv,
                                     .causal = s->causal,
                                     .params = s->params};
    return flt_attention_flops(&desc, backward);
}

static flt_err make_plan(const flt_attend_spec *s, size_t B, bool backward, flt_attention **out) {
    flt_attention_arg *args = NULL;
    flt_attention_desc desc;
    *out = NULL;
    FLTX_TRY(flt_attend_describe(s, &args, &desc));
    desc.B = B, desc.backward = backward;
    const flt_err err = flt_attention_create(&desc, out);
    flt_free(args);
    return err;
}

// ---- the spec

static void destroy_spec(void *self) {
    flt_attend_spec *s = self;
    if (s == NULL) return;
    flt_attention_destroy(s->probe);
    flt_free(s->derivative);
    drop_values(s->n_fixed + s->n_learned, s->value);
    flt_params_destroy(s->params);
    flt_free(s);
}

static flt_err read_shapes(const flt_graph *g, const flt_node qkv[3], flt_attend_spec *s) {
    const flt_shape *q = flt_node_shape(g, qkv[0]), *k = flt_node_shape(g, qkv[1]), *v = flt_node_shape(g, qkv[2]);
    const bool lead = v->rank == 4 && memcmp(q->dim, v->dim, 3 * sizeof *q->dim) == 0;
    if (q->rank != 4 || !flt_shape_equal(q, k) || !lead)
        return flt_fail(FLTE_SHAPE, s->kind->kind.name,
                        "q, k and v are %s, %s and %s; allowed: [B, H, N, d] twice and [B, H, N, dv]", flt_shape_text(q).text,
                        flt_shape_text(k).text, flt_shape_text(v).text);
    s->B = q->dim[0], s->H = q->dim[1], s->N = q->dim[2], s->d = q->dim[3], s->dv = v->dim[3];
    return FLTE_OK;
}

static flt_err read_values(const flt_graph *g, const flt_attend_desc *d, const flt_node *nodes, flt_attend_spec *s) {
    const char *who = s->kind->kind.name;
    FLTX_TRY(flt_alloc(d->n_fixed + d->n_learned, sizeof *s->value, &s->value));
    s->n_fixed = d->n_fixed, s->n_learned = d->n_learned;
    for (size_t i = 0; i < d->n_fixed; i++) FLTX_TRY(take_value(who, &d->fixed[i], &s->value[i]));
    for (size_t i = 0; i < d->n_learned; i++) {
        flt_attend_value *v = &s->value[d->n_fixed + i];
        FLTX_TRY(take_value(who, &d->learned[i], v));
        const flt_shape want = {.rank = v->rank, .count = v->count}, *got = flt_node_shape(g, nodes[i]);
        if (got->rank != want.rank || memcmp(got->dim, v->dim, v->rank * sizeof *v->dim) != 0)
            return flt_fail(FLTE_SHAPE, who, "the node for argument '%s' is %s; wanted: the shape of its planning values",
                            v->name, flt_shape_text(got).text);
    }
    return FLTE_OK;
}

static flt_err check_rows(const flt_attend_spec *s) {
    const size_t rows = flt_attention_rows(s->probe);
    if (rows == s->N) return FLTE_OK;
    return flt_fail(
        FLTE_UNSUPPORTED, s->kind->kind.name,
        "its output has %zu rows for %zu tokens; a graph takes only mechanisms, or settings (lengthen=true), that keep "
        "their number",
        rows, s->N);
}

static flt_err fill_spec(const flt_graph *g, const flt_attend_desc *d, const flt_node qkv[3], const flt_node *nodes,
                         flt_attend_spec *s) {
    FLTX_TRY(flt_attention_find(d->mechanism, &s->kind));
    FLTX_TRY(flt_alloc(1, sizeof *s->derivative, &s->derivative));
    s->causal = d->causal;
    s->seed = d->seed;
    s->mixing = (s->kind->kind.caps & FLTX_ATT_MIXING) != 0;
    FLTX_TRY(read_shapes(g, qkv, s));
    FLTX_TRY(flt_params_create(s->kind->kind.name, s->kind->kind.params, &s->params));
    if (d->settings != NULL) FLTX_TRY(flt_params_parse(s->params, d->settings));
    FLTX_TRY(read_values(g, d, nodes, s));
    if (s->n_learned > 0 && s->kind->update == NULL)
        return flt_fail(FLTE_UNSUPPORTED, s->kind->kind.name,
                        "its arguments cannot change after planning; give them as fixed ones");
    FLTX_TRY(make_plan(s, 1, false, &s->probe));
    return check_rows(s);
}

// ---- what the backward pass gives

size_t flt_attend_parts(const flt_attend_spec *s) {
    return 3 + s->n_learned;
}

void flt_attend_part(const flt_attend_spec *s, size_t part, size_t *start, size_t *rank, size_t *dim) {
    const size_t tokens = s->B * s->H * s->N, width[3] = {s->d, s->d, s->dv};
    *start = 0;
    for (size_t i = 0; i < part; i++) *start += i < 3 ? tokens * width[i] : s->value[s->n_fixed + i - 3].count;
    if (part >= flt_attend_parts(s)) return;
    const flt_attend_value *v = part < 3 ? NULL : &s->value[s->n_fixed + part - 3];
    *rank = v == NULL ? 4 : v->rank;
    if (v == NULL)
        memcpy(dim, (size_t[]){s->B, s->H, s->N, width[part]}, 4 * sizeof *dim);
    else
        memcpy(dim, v->dim, v->rank * sizeof *dim);
}

// ---- the plan of an executor

typedef struct engine {
    flt_attention *plan;
    size_t tokens, d, dv, n;        // tokens: B H N; n: learned arguments
    flt_attend_value *value;        // [n]: of the last run
    flt_attention_arg *arg;         // [n]: views of them
    flt_attend_value *grad;         // [n]
    flt_attention_gradient *wanted; // [n]: views of them
    bool ok;                        // the last values were legal
} engine;

static void close_engine(void *self) {
    engine *e = self;
    if (e == NULL) return;
    flt_attention_destroy(e->plan);
    drop_values(e->n, e->value);
    drop_values(e->n, e->grad);
    flt_free(e->arg);
    flt_free(e->wanted);
    flt_free(e);
}

static flt_err copy_values(const flt_attend_spec *s, flt_attend_value **out) {
    FLTX_TRY(flt_alloc(s->n_learned, sizeof **out, out));
    for (size_t i = 0; i < s->n_learned; i++) {
        const flt_attention_arg arg = as_arg(&s->value[s->n_fixed + i]);
        FLTX_TRY(take_value(s->kind->kind.name, &arg, &(*out)[i]));
    }
    return FLTE_OK;
}

static flt_err fill_engine(const flt_attend_spec *s, unsigned uses, engine *e) {
    e->tokens = s->B * s->H * s->N, e->d = s->d, e->dv = s->dv, e->n = s->n_learned;
    FLTX_TRY(copy_values(s, &e->value));
    FLTX_TRY(copy_values(s, &e->grad));
    FLTX_TRY(as_args(e->n, e->value, &e->arg));
    FLTX_TRY(flt_alloc(e->n, sizeof *e->wanted, &e->wanted));
    for (size_t i = 0; i < e->n; i++) e->wanted[i] = (flt_attention_gradient){e->grad[i].name, e->grad[i].data};
    FLTX_TRY(make_plan(s, s->B, (uses & FLTX_ATTEND_BACKWARD) != 0, &e->plan));
    if (e->n > 0) FLTX_TRY(flt_attention_update(e->plan, e->n, e->arg)); // names and shapes hold from here on
    e->ok = true;
    return FLTE_OK;
}

static flt_err open_engine(const void *spec, unsigned uses, void **out) {
    engine *e = NULL;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *e, &e));
    const flt_err err = fill_engine(spec, uses, e);
    if (err == FLTE_OK)
        *out = e;
    else
        close_engine(e);
    return err;
}

const flt_op_engine flt_attend_engine = {open_engine, close_engine};

static bool take_learned(engine *e, const flt_real *const *learned) {
    bool changed = false;
    for (size_t i = 0; i < e->n; i++)
        for (size_t j = 0; j < e->value[i].count; j++) {
            changed |= !(e->value[i].data[j] == (double)learned[i][j]); // a NaN differs
            e->value[i].data[j] = (double)learned[i][j];
        }
    if (changed) e->ok = flt_attention_update(e->plan, e->n, e->arg) == FLTE_OK;
    return e->ok;
}

static void fill_nan(size_t n, flt_real *x) {
    for (size_t i = 0; i < n; i++) x[i] = (flt_real)NAN;
}

void flt_attend_forward(const flt_step *s) {
    engine *e = s->engine;
    if (take_learned(e, s->in + 3))
        flt_attention_forward(e->plan, s->in[0], s->in[1], s->in[2], s->out);
    else
        fill_nan(e->tokens * e->dv, s->out);
}

static size_t gradient_count(const engine *e) {
    size_t n = e->tokens * (2 * e->d + e->dv);
    for (size_t i = 0; i < e->n; i++) n += e->grad[i].count;
    return n;
}

void flt_attend_backward(const flt_step *s) {
    engine *e = s->engine;
    flt_real *dq = s->out, *dk = dq + e->tokens * e->d, *dv = dk + e->tokens * e->d, *to = dv + e->tokens * e->dv;
    const flt_attention_pass pass = {.q = s->in[0],
                                     .k = s->in[1],
                                     .v = s->in[2],
                                     .out = s->in[3],
                                     .dout = s->in[4],
                                     .dq = dq,
                                     .dk = dk,
                                     .dv = dv,
                                     .n_args = e->n,
                                     .args = e->wanted};
    if (!take_learned(e, s->in + 5) || flt_attention_backward(e->plan, &pass) != FLTE_OK) {
        fill_nan(gradient_count(e), s->out);
        return;
    }
    for (size_t i = 0; i < e->n; i++)
        for (size_t j = 0; j < e->grad[i].count; j++) *to++ = (flt_real)e->grad[i].data[j];
}

// ---- whether it can be differentiated

static flt_err try_backward(const flt_attend_spec *s, engine *e) {
    flt_real *room = NULL;
    const size_t n = s->H * s->N, most = s->d > s->dv ? s->d : s->dv;
    FLTX_TRY(fill_engine(s, 0, e));
    flt_attention_destroy(e->plan);
    e->plan = NULL;
    FLTX_TRY(make_plan(s, 1, true, &e->plan));
    FLTX_TRY(flt_alloc(5 * n, most * sizeof *room, &room));
    flt_real *out = room + n * most, *dq = out + n * most, *dk = dq + n * most, *dv = dk + n * most; // the first is q, k, v, dout
    flt_attention_forward(e->plan, room, room, room, out);
    const flt_attention_pass pass = {room, room, room, out, room, dq, dk, dv, e->n, e->wanted};
    const flt_err err = flt_attention_backward(e->plan, &pass);
    flt_free(room);
    return err;
}

flt_err flt_attend_differentiable(const flt_attend_spec *s) {
    flt_attend_derivative *known = s->derivative;
    engine *e = NULL;
    if (known->found) return FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *e, &e));
    const flt_err err = try_backward(s, e);
    close_engine(e);
    known->found = err == FLTE_OK;
    return err;
}

// ---- the node

extern const flt_op_kind flt_op_kind_attention;

static const char *lacking(const flt_attend_desc *d, const flt_node *qkv, const flt_node *nodes) {
    if (d == NULL || qkv == NULL) return d == NULL ? "desc" : "qkv";
    if (d->n_fixed > 0 && d->fixed == NULL) return "desc->fixed";
    if (d->n_learned > 0 && d->learned == NULL) return "desc->learned";
    return d->n_learned > 0 && nodes == NULL ? "nodes" : NULL;
}

flt_node flt_attend(flt_graph *g, const flt_attend_desc *desc, const flt_node qkv[3], const flt_node *nodes) {
    flt_attend_spec *s = NULL;
    flt_node *in = NULL;
    flt_node y = flt_bad;
    if (flt_graph_failed(g)) return flt_bad;
    const char *missing = lacking(desc, qkv, nodes);
    if (missing != NULL) return flt_graph_lacks(g, "attention", missing);
    flt_err err = flt_alloc(1, sizeof *s, &s);
    if (err == FLTE_OK) err = fill_spec(g, desc, qkv, nodes, s);
    if (err == FLTE_OK) err = flt_alloc(3 + desc->n_learned, sizeof *in, &in);
    if (err != FLTE_OK) {
        destroy_spec(s);
        return flt_graph_fail(g, err);
    }
    for (size_t i = 0; i < 3; i++) in[i] = qkv[s->mixing ? 0 : i];
    if (desc->n_learned > 0) memcpy(in + 3, nodes, desc->n_learned * sizeof *in);
    if (flt_graph_own(g, s, destroy_spec) == FLTE_OK)
        y = flt_op_apply(g, &flt_op_kind_attention, 3 + desc->n_learned, in, &(flt_op_attr){.spec = s});
    flt_free(in);
    return y;
}
