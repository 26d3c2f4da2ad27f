// SPDX-License-Identifier: MIT
// Choosing and reading the relative positional encoding of a plan, one or a sum; see encoding.h.
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

static const flt_rpe_arg *declared(const flt_rpe_kind *kind, const char *name) {
    for (const flt_rpe_arg *a = kind->args; a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0) return a;
    }
    return NULL;
}

// ---- which encodings

// The second box of a sum is called box2.
static flt_err add_term(const flt_attention_desc *desc, const char *name, flt_att_encoding *e) {
    size_t same = 1;
    if (e->terms == FLTX_ATT_MAX_TERMS)
        return flt_fail(FLTE_RANGE, desc->mechanism, "rpe=%s adds up more than %d encodings", e->name, FLTX_ATT_MAX_TERMS);
    flt_att_term *t = &e->term[e->terms];
    FLTX_TRY(flt_rpe_find(name, &t->kind));
    for (size_t i = 0; i < e->terms; i++) same += e->term[i].kind == t->kind;
    if (same == 1)
        snprintf(t->label, sizeof t->label, "%s", name);
    else
        snprintf(t->label, sizeof t->label, "%.24s%zu", name, same);
    e->terms++;
    return FLTE_OK;
}

static flt_err choose_named(const flt_attention_desc *desc, const char *text, flt_att_encoding *e) {
    e->named = true;
    for (const char *at = text; at != NULL; at = strchr(at, '+')) {
        char name[32];
        at += *at == '+';
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "+"), at);
        FLTX_TRY(add_term(desc, name, e));
    }
    return FLTE_OK;
}

static flt_err choose(const flt_attention_desc *desc, flt_att_encoding *e) {
    const char *text = flt_params_text(desc->params, "rpe");
    snprintf(e->name, sizeof e->name, "%s", text);
    if (strcmp(text, "auto") != 0) return choose_named(desc, text, e);
    for (size_t i = 0; i < IMPLIED; i++) {
        if (flt_attention_arg_find(desc, implied[i].arg) == NULL) continue;
        if (implied[i].kind == NULL)
            return flt_fail(FLTE_USAGE, desc->mechanism,
                            "argument '%s' belongs to several encodings; name one, as in rpe=matern32 (see `flt list rpe`)",
                            implied[i].arg);
        snprintf(e->name, sizeof e->name, "%s", implied[i].kind);
        return add_term(desc, implied[i].kind, e);
    }
    return FLTE_OK;
}

// ---- whose argument is it?

static size_t takers(const flt_att_encoding *e, const char *name) {
    size_t n = 0;
    for (size_t t = 0; t < e->terms; t++) n += declared(e->term[t].kind, name) != NULL;
    return n;
}

// How the plan calls argument i of a term: as the caller did, else the short name where it is unique.
static flt_err name_argument(const flt_attention_desc *desc, const flt_att_encoding *e, size_t i, flt_att_term *t) {
    char longer[48];
    snprintf(longer, sizeof longer, "%.31s.%s", t->label, names[i]);
    const bool whose = takers(e, names[i]) > 1, by_long = flt_attention_arg_find(desc, longer) != NULL;
    if (!whose && by_long && flt_attention_arg_find(desc, names[i]) != NULL)
        return flt_fail(FLTE_USAGE, desc->mechanism, "arguments '%s' and '%s' are the same one; leave one of them out", names[i],
                        longer);
    snprintf(t->names[i], sizeof t->names[i], "%s", whose || by_long ? longer : names[i]);
    return FLTE_OK;
}

// The encodings that take this argument, or the terms' names for it.
static void list_owners(const char *name, char *text, size_t size) {
    const flt_registry *r = flt_rpe_registry();
    text[0] = '\0';
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const size_t used = strlen(text);
        if (declared((const flt_rpe_kind *)r->kinds[i], name) != NULL)
            snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", r->kinds[i]->name);
    }
}

static bool is_long_name(const flt_att_encoding *e, const char *given) {
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
            char longer[48];
            snprintf(longer, sizeof longer, "%.31s.%s", e->term[t].label, names[i]);
            if (strcmp(longer, given) == 0 && declared(e->term[t].kind, names[i]) != NULL) return true;
        }
    }
    return false;
}

static flt_err refuse_short(const flt_attention_desc *desc, const flt_att_encoding *e, const char *name) {
    char text[256] = "";
    const size_t n = takers(e, name);
    if (n == 1) return FLTE_OK;
    if (n == 0) {
        list_owners(name, text, sizeof text);
        return flt_fail(FLTE_USAGE, desc->mechanism, "argument '%s' belongs to the encoding %s, but the encoding is %s", name,
                        text, e->name);
    }
    for (size_t t = 0; t < e->terms; t++) {
        const size_t used = strlen(text);
        if (declared(e->term[t].kind, name) != NULL)
            snprintf(text + used, sizeof text - used, "%s%s.%s", used > 0 ? ", " : "", e->term[t].label, name);
    }
    return flt_fail(FLTE_USAGE, desc->mechanism, "several terms of %s take an argument '%s'; say whose it is: %s", e->name, name,
                    text);
}

static flt_err refuse_foreign(const flt_attention_desc *desc, const flt_att_encoding *e) {
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
        if (flt_attention_arg_find(desc, names[i]) != NULL) FLTX_TRY(refuse_short(desc, e, names[i]));
    }
    for (size_t i = 0; i < desc->n_args; i++) {
        if (strchr(desc->args[i].name, '.') != NULL && !is_long_name(e, desc->args[i].name))
            return flt_fail(FLTE_NAME, desc->mechanism, "argument '%.60s' belongs to no term of the encoding %s",
                            desc->args[i].name, e->name);
    }
    return FLTE_OK;
}

flt_err flt_att_encoding_args_known(const flt_attention_desc *desc, const char *const *own) {
    const char *all[32] = {FLTX_ATT_RPE_ARGS};
    size_t n = FLTX_ATT_N_RPE_ARGS;
    while (*own != NULL && n + 1 < sizeof all / sizeof *all) all[n++] = *own++;
    for (size_t i = 0; i < desc->n_args; i++) {
        const flt_attention_desc one = {.mechanism = desc->mechanism, .n_args = 1, .args = &desc->args[i]};
        if (flt_attention_arg_find(desc, desc->args[i].name) != &desc->args[i])
            return flt_fail(FLTE_USAGE, desc->mechanism, "argument '%s' is given twice", desc->args[i].name);
        const char *text = flt_params_text(desc->params, "rpe");
        if (strchr(desc->args[i].name, '.') != NULL && strcmp(text, "auto") != 0) continue; // a term's: read decides
        FLTX_TRY(flt_att_args_known(&one, all));
    }
    return FLTE_OK;
}

bool flt_att_lags_alone(const flt_attention_desc *desc) {
    static const char *const others[] = {"bias", FLTX_ATT_RPE_ARGS};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(others[i], "lag_bias") != 0 && flt_attention_arg_find(desc, others[i]) != NULL) return false;
    }
    return flt_attention_arg_find(desc, "lag_bias") != NULL && strcmp(flt_params_text(desc->params, "rpe"), "auto") == 0;
}

// ---- reading

// Arrays are asked for by the encodings' own checks, which know their shapes; numbers have a default or are asked for here.
static flt_err settle_number(const flt_attention_desc *desc, size_t i, flt_att_term *t) {
    const flt_rpe_arg *a = declared(t->kind, names[i]);
    if (i < C || i == BUCKETS || i == LAG_BIAS || t->given[i].data != NULL) return FLTE_OK;
    if (isnan(a->initial))
        return flt_fail(FLTE_SHAPE, desc->mechanism, "the encoding %s needs the argument '%s', one number or [H = %zu]", t->label,
                        t->names[i], desc->H);
    return flt_att_number(t->names[i], a->initial, &t->given[i]);
}

static flt_err read_term(const flt_attention_desc *desc, const flt_att_encoding *e, flt_att_term *t) {
    flt_att_dim mu[2] = {{"T", FLTX_ATT_FREE}, {"l", (ptrdiff_t)e->l}}, lags[1] = {{"2n - 1", FLTX_ATT_FREE}};
    flt_att_dim buckets[1] = {{"buckets", FLTX_ATT_FREE}};
    for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
        flt_att_dim *dim = i <= S2 ? mu : i == LAG_BIAS ? lags : i == BUCKETS ? buckets : NULL;
        if (declared(t->kind, names[i]) == NULL) continue;
        t->setting[i] = declared(t->kind, names[i])->setting;
        FLTX_TRY(name_argument(desc, e, i, t));
        FLTX_TRY(flt_att_take(desc, t->names[i], dim == NULL ? 0 : i == MU ? 2 : 1, dim, &t->given[i]));
        FLTX_TRY(settle_number(desc, i, t));
    }
    const flt_att_array *table = &t->given[LAG_BIAS];
    if (table->data != NULL && table->dim[0] % 2 == 0)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "argument '%s' has %zu entries; an odd number 2n - 1 is wanted", table->name,
                        table->dim[0]);
    return FLTE_OK;
}

// Encodings that live on integers: whole positions, and a table long enough for their span.
static flt_err check_grid(const flt_attention_desc *desc, const flt_att_positions *pos, const flt_att_term *t) {
    double low = INFINITY, high = -INFINITY;
    if (!(t->kind->kind.caps & FLTX_RPE_GRID)) return FLTE_OK;
    if (pos->l != 1)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "positions have l = %zu, but the encoding %s lives on integers, l = 1",
                        pos->l, t->label);
    for (size_t i = 0; i < desc->N; i++) {
        const double x = pos->array.data[i];
        if (x != rint(x))
            return flt_fail(FLTE_RANGE, desc->mechanism, "pos[%zu] is %g, but the encoding %s lives on whole positions", i, x,
                            t->label);
        low = fmin(low, x);
        high = fmax(high, x);
    }
    const flt_att_array *table = &t->given[LAG_BIAS];
    const size_t n = (table->count + 1) / 2;
    if (table->data != NULL && high - low > (double)n - 1.0)
        return flt_fail(FLTE_RANGE, desc->mechanism,
                        "positions span %g steps, but lag_bias [%zu] reaches %zu; give at least 2 x span + 1 entries", high - low,
                        table->count, n - 1);
    return FLTE_OK;
}

flt_err flt_att_encoding_read(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_encoding *out) {
    *out = (flt_att_encoding){.l = pos->l, .H = desc->H};
    FLTX_TRY(choose(desc, out));
    if (out->terms == 0) return FLTE_OK;
    FLTX_TRY(refuse_foreign(desc, out));
    for (size_t t = 0; t < out->terms; t++) FLTX_TRY(read_term(desc, out, &out->term[t]));
    FLTX_TRY(flt_att_encoding_check(out));
    for (size_t t = 0; t < out->terms; t++) FLTX_TRY(check_grid(desc, pos, &out->term[t]));
    return FLTE_OK;
}

flt_err flt_att_encoding_check(const flt_att_encoding *e) {
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t h = 0; h < (flt_att_encoding_shared(e) ? 1 : e->H); h++) {
            const flt_rpe_args args = flt_att_encoding_args(e, t, h);
            FLTX_TRY(e->term[t].kind->check(&args));
        }
    }
    return FLTE_OK;
}

void flt_att_encoding_drop(flt_att_encoding *e) {
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) flt_att_drop(&e->term[t].given[i]);
    }
}

// ---- one head's arguments

static const double *array(const flt_att_term *t, size_t which, size_t head) {
    return t->given[which].data == NULL ? NULL : flt_att_head(&t->given[which], head);
}

static double number(const flt_att_term *t, size_t which, size_t head) {
    const double *given = array(t, which, head);
    return given != NULL ? *given : 0.0;
}

flt_rpe_args flt_att_encoding_args(const flt_att_encoding *e, size_t term, size_t head) {
    const flt_att_term *t = &e->term[term];
    return (flt_rpe_args){
        .l = e->l,
        .t = t->given[W].count,
        .w = array(t, W, head),
        .mu = array(t, MU, head),
        .s2 = array(t, S2, head),
        .c = number(t, C, head),
        .v = number(t, V, head),
        .scale = number(t, SCALE, head),
        .slope = number(t, SLOPE, head),
        .decay = number(t, DECAY, head),
        .band = number(t, BAND, head),
        .n = (t->given[LAG_BIAS].count + 1) / 2,
        .lag_bias = array(t, LAG_BIAS, head),
        .n_buckets = t->given[BUCKETS].count,
        .buckets = array(t, BUCKETS, head),
        .max_distance = number(t, MAX_DISTANCE, head),
    };
}

bool flt_att_encoding_zero(const flt_att_encoding *e) {
    bool zero = true;
    for (size_t t = 0; t < e->terms; t++) zero &= strcmp(e->term[t].kind->kind.name, "none") == 0;
    return zero;
}

bool flt_att_encoding_shared(const flt_att_encoding *e) {
    size_t heads = 0;
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) heads += e->term[t].given[i].heads;
    }
    return heads == 0;
}

void flt_att_encoding_list(const flt_att_encoding *e, size_t max, flt_attention_arg *out, size_t *n) {
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) flt_att_list(&e->term[t].given[i], max, out, n);
    }
}

// ---- values

enum { BLOCK = 64 }; // offsets at a time, on the stack

void flt_att_encoding_closed_form(const flt_att_encoding *e, size_t head, size_t n, const double *z, double *f) {
    if (e->terms == 0) memset(f, 0, n * sizeof *f);
    for (size_t t = 0; t < e->terms; t++) {
        const flt_rpe_args args = flt_att_encoding_args(e, t, head);
        if (t == 0) e->term[t].kind->closed_form(&args, n, z, f);
        for (size_t i = 0; t > 0 && i < n; i += BLOCK) {
            double part[BLOCK];
            const size_t count = n - i < BLOCK ? n - i : BLOCK;
            e->term[t].kind->closed_form(&args, count, z + i * e->l, part);
            for (size_t k = 0; k < count; k++) f[i + k] += part[k];
        }
    }
}

void flt_att_encoding_lags(const flt_att_encoding *e, size_t head, size_t N, double step, double *lags) {
    for (size_t i = 0; i < 2 * N - 1; i += BLOCK) {
        double z[BLOCK];
        const size_t count = 2 * N - 1 - i < BLOCK ? 2 * N - 1 - i : BLOCK;
        for (size_t k = 0; k < count; k++) z[k] = ((double)(N - 1) - (double)(i + k)) * step;
        flt_att_encoding_closed_form(e, head, count, z, lags + i);
    }
}

// ---- new values

void flt_att_encoding_arrays(flt_att_encoding *e, flt_att_arrays *to) {
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) flt_att_arrays_add(to, &e->term[t].given[i]);
    }
}

flt_att_encoding flt_att_encoding_with(const flt_att_encoding *e, size_t n_args, const flt_attention_arg *args) {
    flt_att_encoding with = *e;
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
            if (e->term[t].given[i].data == NULL) continue;
            const double *data = flt_att_new_values(e->term[t].given[i].name, n_args, args);
            if (data != NULL) with.term[t].given[i].data = (double *)(uintptr_t)data; // read only
        }
    }
    return with;
}
