// SPDX-License-Identifier: MIT
// Choosing and reading the relative positional encoding of a plan.
#include "encoding.h"

#include <math.h>
#include <string.h>

// Which argument belongs to which encoding; without a name the first argument that is there decides.
static const struct {
    const char *arg, *kind;
} owners[] = {
    {"w", "gaussian_mixture"}, {"mu", "gaussian_mixture"}, {"s2", "gaussian_mixture"}, {"c", "window"},
    {"v", "window"},           {"lag_bias", "lag_table"},
};
enum { OWNERS = sizeof owners / sizeof owners[0] };

static flt_err choose(const flt_attention_desc *desc, flt_att_encoding *e) {
    const char *name = flt_params_text(desc->params, "rpe");
    e->named = strcmp(name, "auto") != 0;
    if (e->named) return flt_rpe_find(name, &e->kind);
    for (size_t i = 0; i < OWNERS; i++) {
        if (flt_attention_arg_find(desc, owners[i].arg) != NULL) return flt_rpe_find(owners[i].kind, &e->kind);
    }
    return FLTE_OK;
}

static flt_err refuse_foreign(const flt_attention_desc *desc, const flt_att_encoding *e) {
    for (size_t i = 0; i < OWNERS; i++) {
        if (flt_attention_arg_find(desc, owners[i].arg) != NULL && strcmp(owners[i].kind, e->kind->kind.name) != 0)
            return flt_fail(FLTE_USAGE, desc->mechanism, "argument '%s' belongs to the encoding %s, but the encoding is %s",
                            owners[i].arg, owners[i].kind, e->kind->kind.name);
    }
    return FLTE_OK;
}

static flt_err read_arrays(const flt_attention_desc *desc, flt_att_encoding *e) {
    flt_att_dim mu[2] = {{"T", FLTX_ATT_FREE}, {"l", (ptrdiff_t)e->l}}, lags[1] = {{"2n - 1", FLTX_ATT_FREE}};
    FLTX_TRY(flt_att_take(desc, "w", 1, mu, &e->w));
    FLTX_TRY(flt_att_take(desc, "mu", 2, mu, &e->mu));
    FLTX_TRY(flt_att_take(desc, "s2", 1, mu, &e->s2));
    FLTX_TRY(flt_att_take(desc, "c", 0, NULL, &e->c));
    FLTX_TRY(flt_att_take(desc, "v", 0, NULL, &e->v));
    FLTX_TRY(flt_att_take(desc, "lag_bias", 1, lags, &e->lag_bias));
    if (strcmp(e->kind->kind.name, "window") == 0 && (e->c.data == NULL || e->v.data == NULL))
        return flt_fail(FLTE_SHAPE, desc->mechanism, "the encoding window needs both arguments c and v");
    if (e->lag_bias.data != NULL && e->lag_bias.dim[0] % 2 == 0)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "argument 'lag_bias' has %zu entries; an odd number 2n - 1 is wanted",
                        e->lag_bias.dim[0]);
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
    const size_t n = (e->lag_bias.count + 1) / 2;
    if (e->lag_bias.data != NULL && high - low > (double)n - 1.0)
        return flt_fail(FLTE_RANGE, desc->mechanism,
                        "positions span %g steps, but lag_bias [%zu] reaches %zu; give at least 2 x span + 1 entries", high - low,
                        e->lag_bias.count, n - 1);
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
    flt_att_drop(&e->w);
    flt_att_drop(&e->mu);
    flt_att_drop(&e->s2);
    flt_att_drop(&e->c);
    flt_att_drop(&e->v);
    flt_att_drop(&e->lag_bias);
}

flt_rpe_args flt_att_encoding_args(const flt_att_encoding *e, size_t head) {
    flt_rpe_args a = {.l = e->l, .t = e->w.count, .n = (e->lag_bias.count + 1) / 2};
    if (e->w.data != NULL) a.w = flt_att_head(&e->w, head);
    if (e->mu.data != NULL) a.mu = flt_att_head(&e->mu, head);
    if (e->s2.data != NULL) a.s2 = flt_att_head(&e->s2, head);
    if (e->c.data != NULL) a.c = *flt_att_head(&e->c, head);
    if (e->v.data != NULL) a.v = *flt_att_head(&e->v, head);
    if (e->lag_bias.data != NULL) a.lag_bias = flt_att_head(&e->lag_bias, head);
    return a;
}

bool flt_att_encoding_shared(const flt_att_encoding *e) {
    return e->w.heads + e->mu.heads + e->s2.heads + e->c.heads + e->v.heads + e->lag_bias.heads == 0;
}

void flt_att_encoding_list(const flt_att_encoding *e, size_t max, flt_attention_arg *out, size_t *n) {
    flt_att_list(&e->w, max, out, n);
    flt_att_list(&e->mu, max, out, n);
    flt_att_list(&e->s2, max, out, n);
    flt_att_list(&e->c, max, out, n);
    flt_att_list(&e->v, max, out, n);
    flt_att_list(&e->lag_bias, max, out, n);
}
