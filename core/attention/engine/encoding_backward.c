// SPDX-License-Identifier: MIT
// Gradients of an encoding's arguments. They are gathered flat, all arguments of one head behind each other, so that engines add
// up a single array whatever the encoding is; then they go to the caller's arrays.
#include "encoding.h"

#include <string.h>

// In the order of FLTX_ATT_RPE_ARGS: where each has its slot; those without are settings of every kind.
static double **slot_of(flt_rpe_slots *s, size_t i) {
    double **const at[FLTX_ATT_N_RPE_ARGS] = {&s->w,
                                              &s->mu,
                                              &s->s2,
                                              &s->c,
                                              &s->v,
                                              &s->scale,
                                              &s->slope,
                                              &s->decay,
                                              NULL /* band */,
                                              &s->buckets,
                                              NULL /* max_distance */,
                                              &s->lag_bias};
    return at[i];
}

static bool trains(const flt_att_term *t, size_t i) {
    flt_rpe_slots none = {0};
    return t->given[i].data != NULL && !t->setting[i] && slot_of(&none, i) != NULL;
}

size_t flt_att_encoding_size(const flt_att_encoding *e) {
    size_t size = 0;
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) size += trains(&e->term[t], i) ? e->term[t].given[i].count : 0;
    }
    return size;
}

// sums: of one head, all terms
static flt_rpe_slots slots_of(const flt_att_encoding *e, size_t term, double *sums) {
    flt_rpe_slots s = {0};
    for (size_t t = 0; t <= term; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
            if (!trains(&e->term[t], i)) continue;
            if (t == term) *slot_of(&s, i) = sums;
            sums += e->term[t].given[i].count;
        }
    }
    return s;
}

void flt_att_encoding_back(const flt_att_encoding *e, size_t head, size_t n, const double *z, const double *df, double *sums) {
    for (size_t t = 0; t < e->terms; t++) {
        const flt_rpe_args args = flt_att_encoding_args(e, t, head);
        const flt_rpe_slots to = slots_of(e, t, sums);
        e->term[t].kind->closed_form_back(&args, n, z, df, &to);
    }
}

void flt_att_encoding_lags_back(const flt_att_encoding *e, size_t head, size_t N, double step, const double *dlags,
                                double *sums) {
    enum { BLOCK = 64 };
    for (size_t i = 0; i < 2 * N - 1; i += BLOCK) {
        double z[BLOCK];
        const size_t count = 2 * N - 1 - i < BLOCK ? 2 * N - 1 - i : BLOCK;
        for (size_t k = 0; k < count; k++) z[k] = ((double)(N - 1) - (double)(i + k)) * step;
        flt_att_encoding_back(e, head, count, z, dlags + i, sums);
    }
}

void flt_att_encoding_spectrum_back(const flt_att_encoding *e, size_t term, size_t head, size_t r, const double *xi,
                                    const double *dg, double *sums, double *dxi) {
    const flt_rpe_args args = flt_att_encoding_args(e, term, head);
    flt_rpe_slots to = slots_of(e, term, sums);
    to.xi = dxi;
    e->term[term].kind->spectrum_back(&args, r, xi, dg, &to);
}

void flt_att_encoding_names(const flt_att_encoding *e, size_t max, const char **names, size_t *n) {
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
            if (trains(&e->term[t], i) && *n < max) names[(*n)++] = e->term[t].given[i].name;
        }
    }
}

static void gather(const flt_att_array *a, size_t H, size_t size, const double *sums, double *to) {
    const size_t heads = a->heads == 0 ? 1 : a->heads;
    memset(to, 0, heads * a->count * sizeof *to);
    for (size_t h = 0; h < H; h++) {
        double *head = to + (heads == 1 ? 0 : h) * a->count;
        for (size_t i = 0; i < a->count; i++) head[i] += sums[h * size + i];
    }
}

bool flt_att_encoding_gather(const flt_att_encoding *e, const char *name, const double *sums, double *to) {
    const size_t size = flt_att_encoding_size(e);
    size_t at = 0;
    for (size_t t = 0; t < e->terms; t++) {
        for (size_t i = 0; i < FLTX_ATT_N_RPE_ARGS; i++) {
            const flt_att_array *a = &e->term[t].given[i];
            if (!trains(&e->term[t], i)) continue;
            if (strcmp(a->name, name) == 0) {
                gather(a, e->H, size, sums + at, to);
                return true;
            }
            at += a->count;
        }
    }
    return false;
}
