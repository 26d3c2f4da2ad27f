// SPDX-License-Identifier: MIT
// Choosing and reading the relative positional encoding of a plan.
#include "encoding.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { W, MU, S2, C, V, SCALE, SLOPE, DECAY, BAND, BUCKETS, MAX_DISTANCE, LAG_BIAS };
static const char *const names[FLTX_ATT_N_RPE_ARGS] = {FLTX_ATT_RPE_ARGS};

// Without a name, the first of these arguments that is there decides.
static const struct {
    const char *arg, *kind;
} implied[] = {
    {"w", "gaussian_mixture"},
    {"mu", "gaussian_mixture"},
    {"s2", "gaussian_mixture"},
    {"scale", NULL},
    {"band", NULL},
    {"c", "window"},
    {"v", "window"},
    {"lag_bias", "lag_table"},
    {"slope", "alibi"},
    {"decay", "exponential"},
    {"buckets", "t5_buckets"},
};
enum { IMPLIED = sizeof implied / sizeof implied[0] };

static flt_err choose(const flt_attention_desc *desc, flt_att_encoding *e) {
    const char *name = flt_params_text(desc->params, "rpe");
    e->named = strcmp(name, "auto") != 0;
    if (e->named) return flt_rpe_find(name, &e->kind);
    for (size_t i = 0; i < IMPLIED; i++) {
        if (flt_attention_arg_find(desc, implied[i].arg) == NULL) continue;
        if (implied[i].kind != NULL) return flt_rpe_find(implied[i].kind, &e->kind);
        return flt_fail(FLTE_USAGE, desc->mechanism,
                        "argument '%s' belongs to several encodings; name one, as in rpe=matern32 (see `flt list rpe`)",
                        implied[i].arg);
    }
    return FLTE_OK;
}

static const flt_rpe_arg *declared(const flt_rpe_kind *kind, const char *name) {
    for (const flt_rpe_arg *a = kind->args; a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0) return a;
    }
    return NULL;
}

// The encodings that take this argument.
static void list_owners(const char *name, char *text, size_t size) {
    const flt_registry *r = flt_rpe_registry();
    text[0] = '\0';
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const size_t used = strlen(text);
        if (declared((const flt_rpe_kind *)r->kinds[i], name) != NULL)
            snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", r->kinds[i]->name);
    }
}

static flt_err refuse_foreign(const flt_attention_desc *desc, const flt_att_encoding *e) {
    char owners[256];
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
        if (flt_attention_arg_find(desc, names[i]) == NULL || declared(e->kind, names[i]) != NULL) continue;
        list_owners(names[i], owners, sizeof owners);
        return flt_fail(FLTE_USAGE, desc->mechanism, "argument '%s' belongs to the encoding %s, but the encoding is %s", names[i],
                        owners, e->kind->kind.name);
    }
    return FLTE_OK;
}

// Arrays are asked for by the encodings' own checks, which know their shapes.
static flt_err need_numbers(const flt_attention_desc *desc, const flt_att_encoding *e) {
    for (size_t i = C; i <= MAX_DISTANCE; i++) {
        const flt_rpe_arg *a = declared(e->kind, names[i]);
        if (i != BUCKETS && a != NULL && isnan(a->initial) && e->given[i].data == NULL)
            return flt_fail(FLTE_SHAPE, desc->mechanism, "the encoding %s needs the argument '%s', one number or [H = %zu]",
                            e->kind->kind.name, names[i], desc->H);
    }
    return FLTE_OK;
}

static flt_err read_arrays(const flt_attention_desc *desc, flt_att_encoding *e) {
    flt_att_dim mu[2] = {{"T", FLTX_ATT_FREE}, {"l", (ptrdiff_t)e->l}}, lags[1] = {{"2n - 1", FLTX_ATT_FREE}};
    flt_att_dim buckets[1] = {{"buckets", FLTX_ATT_FREE}};
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
        flt_att_dim *dim = i <= S2 ? mu : i == LAG_BIAS ? lags : i == BUCKETS ? buckets : NULL;
        FLTX_TRY(flt_att_take(desc, names[i], dim == NULL ? 0 : i == MU ? 2 : 1, dim, &e->given[i]));
    }
    FLTX_TRY(need_numbers(desc, e));
    const flt_att_array *table = &e->given[LAG_BIAS];
    if (table->data != NULL && table->dim[0] % 2 == 0)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "argument 'lag_bias' has %zu entries; an odd number 2n - 1 is wanted",
                        table->dim[0]);
    return FLTE_OK;
}

// Encodings that live on integers: whole positions, and a table long enough for their span.
static flt_err check_grid(const flt_attention_desc *desc, const flt_att_positions *pos, const flt_att_encoding *e) {
    double low = INFINITY, high = -INFINITY;
    if (!(e->kind->kind.caps & FLTX_RPE_GRID)) return FLTE_OK;
    if (pos->l != 1)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "positions have l = %zu, but the encoding %s lives on integers, l = 1",
                        pos->l, e->kind->kind.name);
    for (size_t i = 0; i < desc->N; i++) {
        const double x = pos->array.data[i];
        if (x != rint(x))
            return flt_fail(FLTE_RANGE, desc->mechanism, "pos[%zu] is %g, but the encoding %s lives on whole positions", i, x,
                            e->kind->kind.name);
        low = fmin(low, x);
        high = fmax(high, x);
    }
    const flt_att_array *table = &e->given[LAG_BIAS];
    const size_t n = (table->count + 1) / 2;
    if (table->data != NULL && high - low > (double)n - 1.0)
        return flt_fail(FLTE_RANGE, desc->mechanism,
                        "positions span %g steps, but lag_bias [%zu] reaches %zu; give at least 2 x span + 1 entries", high - low,
                        table->count, n - 1);
    return FLTE_OK;
}

flt_err flt_att_encoding_read(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_encoding *out) {
    *out = (flt_att_encoding){.l = pos->l};
    FLTX_TRY(choose(desc, out));
    if (out->kind == NULL) return FLTE_OK;
    FLTX_TRY(refuse_foreign(desc, out));
    FLTX_TRY(read_arrays(desc, out));
    for (size_t h = 0; h < (flt_att_encoding_shared(out) ? 1 : desc->H); h++) {
        const flt_rpe_args args = flt_att_encoding_args(out, h);
        FLTX_TRY(out->kind->check(&args));
    }
    return check_grid(desc, pos, out);
}

void flt_att_encoding_drop(flt_att_encoding *e) {
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) flt_att_drop(&e->given[i]);
}

static const double *array(const flt_att_encoding *e, size_t which, size_t head) {
    return e->given[which].data == NULL ? NULL : flt_att_head(&e->given[which], head);
}

static double number(const flt_att_encoding *e, size_t which, size_t head) {
    const flt_rpe_arg *a = declared(e->kind, names[which]);
    const double *given = array(e, which, head);
    return given != NULL ? *given : a != NULL ? a->initial : 0.0;
}

flt_rpe_args flt_att_encoding_args(const flt_att_encoding *e, size_t head) {
    return (flt_rpe_args){
        .l = e->l,
        .t = e->given[W].count,
        .w = array(e, W, head),
        .mu = array(e, MU, head),
        .s2 = array(e, S2, head),
        .c = number(e, C, head),
        .v = number(e, V, head),
        .scale = number(e, SCALE, head),
        .slope = number(e, SLOPE, head),
        .decay = number(e, DECAY, head),
        .band = number(e, BAND, head),
        .n = (e->given[LAG_BIAS].count + 1) / 2,
        .lag_bias = array(e, LAG_BIAS, head),
        .n_buckets = e->given[BUCKETS].count,
        .buckets = array(e, BUCKETS, head),
        .max_distance = number(e, MAX_DISTANCE, head),
    };
}

bool flt_att_encoding_shared(const flt_att_encoding *e) {
    size_t heads = 0;
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) heads += e->given[i].heads;
    return heads == 0;
}

void flt_att_encoding_list(const flt_att_encoding *e, size_t max, flt_attention_arg *out, size_t *n) {
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) flt_att_list(&e->given[i], max, out, n);
}
