// SPDX-License-Identifier: MIT
// Frequencies of FLT and their ratios; see ratios.h.
#include "ratios.h"

#include "flt/memory.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

static flt_rng stream(const flt_attention_desc *desc, const char *what, size_t head) {
    return flt_rng_child(flt_rng_make(desc->seed, what, 0), "head", FLTX_BUG(SHARED_FREQUENCIES) ? 0 : head);
}

static flt_err draw_normal(const flt_attention_desc *desc, const char *name, size_t rank, const size_t *dim, flt_att_array *out) {
    FLTX_TRY(flt_att_make(desc, name, rank, dim, out));
    for (size_t h = 0; h < desc->H; h++) flt_rng_normal_double(stream(desc, name, h), 0, out->count, flt_att_head(out, h));
    return FLTE_OK;
}

static flt_rpe_sampling sampling(const flt_attention_desc *desc) {
    static const char *const names[] = {"mc", "orthogonal", "qmc", "quadrature"};
    size_t i = 0;
    while (strcmp(names[i], flt_params_text(desc->params, "sampling")) != 0) i++; // the table of choices holds no other
    return (flt_rpe_sampling)i;
}

// Largest offset between positions on a line.
static double span(const flt_att_positions *pos) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < pos->array.count; i++) {
        low = fmin(low, pos->array.data[i]);
        high = fmax(high, pos->array.data[i]);
    }
    return high - low;
}

// ---- ratios of an encoding

static flt_err in_range(const flt_att_ratios *a, const double *rho) {
    for (size_t i = 0; i < a->H * a->r; i++) {
        if (!(rho[i] <= 1e30 && rho[i] >= -1e30))
            return flt_fail(FLTE_RANGE, a->who,
                            "the ratio g/p is %g at frequency %zu, too far out for the proposal; give rho, or set rpe=%s", rho[i],
                            i % a->r, a->encoding->name);
    }
    return FLTE_OK;
}

// next [H, r] = the ratios of `e` at xi
static flt_err evaluate(const flt_att_ratios *a, const flt_att_encoding *e, const flt_att_array *xi) {
    for (size_t h = 0; h < a->H; h++) {
        const double *at = flt_att_head(xi, h);
        double *to = a->next + h * a->r;
        for (size_t t = 0; t < e->terms; t++) {
            const flt_rpe_args args = flt_att_encoding_args(e, t, h);
            const flt_rpe_kind *kind = e->term[t].kind;
            const size_t from = a->from[t], n = a->from[t + 1] - from;
            if (a->gaussian)
                flt_rpe_gaussian_ratio(kind, &args, n, at, to);
            else
                flt_rpe_ratio(kind, &args, a->even, n, at + from * e->l, a->weight + h * a->r + from, to + from);
        }
    }
    return in_range(a, a->next);
}

static flt_err check_spectral(const flt_att_encoding *e) {
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t h = 0; e->term[t].kind->spectral != NULL && h < e->H; h++) {
            const flt_rpe_args args = flt_att_encoding_args(e, t, h);
            FLTX_TRY(e->term[t].kind->spectral(&args));
        }
    }
    return FLTE_OK;
}

// ---- where they come from

// The encoding's own proposals or rules.
static flt_err draw_term(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_ratios *a, size_t t, size_t h) {
    const flt_rpe_kind *kind = a->encoding->term[t].kind;
    const flt_rpe_args args = flt_att_encoding_args(a->encoding, t, h);
    const flt_rng root = stream(desc, "rpe", h), rng = t == 0 ? root : flt_rng_child(root, "term", t);
    const size_t from = a->from[t], n = a->from[t + 1] - from;
    double *xi = flt_att_head(&a->xi, h) + from * pos->l, *rho = flt_att_head(&a->rho, h) + from;
    double *weight = a->weight + h * a->r + from;
    FLTX_TRY(flt_rpe_draw(kind, &args, sampling(desc), span(pos), rng, n, xi, rho));
    flt_rpe_weigh(kind, &args, sampling(desc), n, xi, rho, weight);
    for (size_t m = 0; m < n; m++) weight[m] *= (double)a->r / (double)n;
    return FLTE_OK;
}

static flt_err draw_both(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_ratios *a) {
    const size_t terms = a->encoding->terms;
    if (a->r < terms)
        return flt_fail(FLTE_RANGE, a->who, "r = %zu frequencies for the %zu terms of %s; each needs one", a->r, terms,
                        a->encoding->name);
    a->derived = true;
    a->even = sampling(desc) == FLTX_RPE_QUADRATURE;
    for (size_t t = 0; t < terms; t++) a->from[t + 1] = (t + 1) * a->r / terms;
    FLTX_TRY(flt_att_make(desc, "xi", 2, (size_t[]){a->r, pos->l}, &a->xi));
    FLTX_TRY(flt_att_make(desc, "rho", 1, &a->r, &a->rho));
    FLTX_TRY(flt_alloc(a->H * a->r, sizeof *a->weight, &a->weight));
    for (size_t h = 0; h < a->H; h++) {
        for (size_t t = 0; t < terms; t++) FLTX_TRY(draw_term(desc, pos, a, t, h));
    }
    return evaluate(a, a->encoding, &a->xi);
}

static flt_err check_term(const flt_attention_desc *desc, const flt_att_term *t) {
    char list[256];
    if (t->kind->kind.caps & FLTX_RPE_SPECTRUM) return FLTE_OK;
    flt_att_capable(FLTX_ATT_CLOSED_FORM, list, sizeof list);
    return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "the encoding %s has no spectrum; mechanisms that can use it: %s",
                    t->kind->kind.name, list);
}

static flt_err check_sources(const flt_attention_desc *desc, const flt_att_ratios *a) {
    const flt_att_encoding *e = a->encoding;
    for (size_t t = 0; t < e->terms; t++) FLTX_TRY(check_term(desc, &e->term[t]));
    FLTX_TRY(check_spectral(e));
    if (e->terms > 0 && a->rho.data != NULL)
        return flt_fail(FLTE_USAGE, desc->mechanism,
                        "rho is given and so is the encoding %s, which determines it; leave one of them out", e->name);
    if (e->terms > 0 && a->xi.data != NULL && strcmp(e->name, "gaussian_mixture") != 0)
        return flt_fail(FLTE_USAGE, desc->mechanism,
                        "xi is given and so is the encoding %s, which chooses its own frequencies; leave one out", e->name);
    return FLTE_OK;
}

static flt_err get(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_ratios *a) {
    flt_att_dim dim[2] = {{"r", FLTX_ATT_FREE}, {"l", (ptrdiff_t)pos->l}};
    const bool mixture = strcmp(a->encoding->name, "gaussian_mixture") == 0;
    FLTX_TRY(flt_att_take(desc, "xi", 2, dim, &a->xi));
    FLTX_TRY(flt_att_take(desc, "rho", 1, dim, &a->rho));
    FLTX_TRY(check_sources(desc, a));
    FLTX_TRY(flt_att_size(desc, "r", dim[0].size == FLTX_ATT_FREE ? 0 : (size_t)dim[0].size, &a->r));
    FLTX_TRY(flt_alloc(a->H * a->r, sizeof *a->next, &a->next));
    if (a->encoding->terms > 0 && a->xi.data == NULL && (a->encoding->named || !mixture)) return draw_both(desc, pos, a);
    if (a->xi.data == NULL) FLTX_TRY(draw_normal(desc, "xi", 2, (size_t[]){a->r, pos->l}, &a->xi));
    if (a->rho.data != NULL) return FLTE_OK;
    if (!mixture) return draw_normal(desc, "rho", 1, &a->r, &a->rho);
    a->gaussian = true;
    a->from[1] = a->r;
    FLTX_TRY(flt_att_make(desc, "rho", 1, &a->r, &a->rho));
    return evaluate(a, a->encoding, &a->xi);
}

flt_err flt_att_ratios_read(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_encoding *encoding,
                            flt_att_ratios *out) {
    static const char *const splits[] = {"one_sided", "balanced", "squared"};
    *out = (flt_att_ratios){.who = desc->mechanism, .H = desc->H, .encoding = encoding};
    while (strcmp(splits[out->split], flt_params_text(desc->params, "split")) != 0) out->split++;
    FLTX_TRY(get(desc, pos, out));
    if (out->split != FLTX_ATT_ONE_SIDED) {
        FLTX_TRY(flt_att_make(desc, "rho", 1, &out->r, &out->on_query));
        FLTX_TRY(flt_att_make(desc, "rho", 1, &out->r, &out->on_key));
    }
    flt_att_ratios_follow(out);
    return FLTE_OK;
}

void flt_att_ratios_drop(flt_att_ratios *a) {
    flt_att_drop(&a->on_key);
    flt_att_drop(&a->on_query);
    flt_free(a->next);
    flt_free(a->weight);
    flt_att_drop(&a->rho);
    flt_att_drop(&a->xi);
}

// ---- new values

void flt_att_ratios_arrays(flt_att_ratios *a, flt_att_arrays *to) {
    if (!a->derived) flt_att_arrays_add(to, &a->xi);
    if (!a->derived && !a->gaussian) flt_att_arrays_add(to, &a->rho);
    flt_att_encoding_arrays(a->encoding, to);
}

flt_err flt_att_ratios_check(flt_att_ratios *a, size_t n_args, const flt_attention_arg *args) {
    const flt_att_encoding with = flt_att_encoding_with(a->encoding, n_args, args);
    flt_att_array xi = a->xi;
    const double *data = a->derived ? NULL : flt_att_new_values("xi", n_args, args);
    if (data != NULL) xi.data = (double *)(uintptr_t)data; // read only
    FLTX_TRY(flt_att_encoding_check(&with));
    FLTX_TRY(check_spectral(&with));
    return a->derived || a->gaussian ? evaluate(a, &with, &xi) : FLTE_OK;
}

// The ratio as it stands on both sides: balanced shares it out, squared has it twice.
static void split_head(const flt_att_ratios *a, size_t h) {
    const double *rho = flt_att_head(&a->rho, h);
    double *query = flt_att_head(&a->on_query, h), *key = flt_att_head(&a->on_key, h);
    for (size_t m = 0; m < a->r; m++) {
        const bool balanced = a->split == FLTX_ATT_BALANCED;
        const double size = balanced ? sqrt(fabs(rho[m])) : fabs(rho[m]);
        query[m] = copysign(size, rho[m]);
        key[m] = balanced ? size : copysign(size, rho[m]);
    }
}

void flt_att_ratios_follow(flt_att_ratios *a) {
    if (a->derived || a->gaussian) memcpy(a->rho.data, a->next, a->H * a->r * sizeof *a->next);
    for (size_t h = 0; a->on_query.data != NULL && h < a->H; h++) split_head(a, h);
}
