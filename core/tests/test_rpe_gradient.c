// SPDX-License-Identifier: MIT
// Gradients of closed forms and spectra in every argument of every encoding, against differences; ratios at weighted frequencies
// are those of the draw.
#include "encoding_cases.h"

enum { POINTS = 12 };

typedef struct fixture {
    const flt_rpe_kind *kind;
    size_t l, n_values;
    encoding_value value[6];
    double points[POINTS * 3], weight[POINTS];
} fixture;

static double *data_of(fixture *f, const char *name) {
    for (size_t i = 0; i < f->n_values; i++)
        if (strcmp(f->value[i].name, name) == 0) return f->value[i].data;
    return NULL;
}

static double number_of(fixture *f, const char *name) {
    const double *x = data_of(f, name);
    return x != NULL ? *x : 0;
}

static flt_rpe_args args_of(fixture *f) {
    return (flt_rpe_args){.l = f->l,
                          .t = CASE_T,
                          .w = data_of(f, "w"),
                          .mu = data_of(f, "mu"),
                          .s2 = data_of(f, "s2"),
                          .c = number_of(f, "c"),
                          .v = number_of(f, "v"),
                          .scale = number_of(f, "scale"),
                          .slope = number_of(f, "slope"),
                          .decay = number_of(f, "decay"),
                          .band = number_of(f, "band"),
                          .n = CASE_N,
                          .lag_bias = data_of(f, "lag_bias"),
                          .n_buckets = CASE_BUCKETS,
                          .buckets = data_of(f, "buckets"),
                          .max_distance = number_of(f, "max_distance")};
}

static fixture fixture_of(const flt_rpe_kind *kind, size_t l, bool whole) {
    fixture f = {.kind = kind, .l = l};
    uint64_t state = 9 + l;
    for (const flt_rpe_arg *a = kind->args; a->name != NULL; a++) f.value[f.n_values++] = encoding_value_of(kind, a, l, l);
    for (size_t i = 0; i < POINTS * l; i++) f.points[i] = whole ? rint(3 * next_real(&state)) : 0.9 * next_real(&state) + 0.05;
    for (size_t i = 0; i < POINTS; i++) f.weight[i] = next_real(&state);
    return f;
}

static double value(fixture *f, bool spectrum) {
    const flt_rpe_args a = args_of(f);
    double out[POINTS], sum = 0;
    (spectrum ? f->kind->spectrum : f->kind->closed_form)(&a, POINTS, f->points, out);
    for (size_t i = 0; i < POINTS; i++) sum += f->weight[i] * out[i];
    return sum;
}

static double *slot(flt_rpe_slots *s, const char *name, double *to) {
    static const char *const names[] = {"w", "mu", "s2", "c", "v", "scale", "slope", "decay", "lag_bias", "buckets"};
    double **const at[] = {&s->w, &s->mu, &s->s2, &s->c, &s->v, &s->scale, &s->slope, &s->decay, &s->lag_bias, &s->buckets};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        if (strcmp(names[i], name) == 0) *at[i] = to;
    return to;
}

static void check(fixture *f, bool spectrum) {
    double got[6][CASE_MAX] = {{0}};
    flt_rpe_slots to = {0};
    for (size_t i = 0; i < f->n_values; i++)
        if (!f->value[i].setting) slot(&to, f->value[i].name, got[i]);
    const flt_rpe_args a = args_of(f);
    (spectrum ? f->kind->spectrum_back : f->kind->closed_form_back)(&a, POINTS, f->points, f->weight, &to);
    for (size_t i = 0; i < f->n_values; i++) {
        encoding_value *v = &f->value[i];
        double dir[CASE_MAX], want = 0, dot = 0, size = 0;
        const encoding_value saved = *v;
        if (v->setting) continue;
        encoding_direction(v, i, dir);
        for (size_t s = 0; s < 6; s++) {
            for (size_t k = 0; k < v->count; k++) v->data[k] = saved.data[k] + 1e-3 * six_at[s] * dir[k];
            want += six_weight[s] * value(f, spectrum) / (60 * 1e-3);
            *v = saved;
        }
        for (size_t k = 0; k < v->count; k++) dot += got[i][k] * dir[k], size += fabs(got[i][k] * dir[k]);
        // differences of doubles with step 1e-3: 1e-12 of the values
        cr_assert(le(dbl, fabs(dot - want), 1e-9 * size + 1e-10), "%s l=%zu %s of %s: %g, by differences %g", f->kind->kind.name,
                  f->l, spectrum ? "spectrum" : "closed form", v->name, dot, want);
    }
}

Test(rpe_gradient, every_argument_of_every_encoding) {
    for (size_t i = 0; encoding_of(i) != NULL; i++)
        for (size_t l = 1; l < 4; l++) {
            const flt_rpe_kind *kind = encoding_of(i);
            if (!encoding_takes(kind, l)) continue;
            fixture f = fixture_of(kind, l, true);
            check(&f, false);
            f = fixture_of(kind, l, false);
            if (kind->kind.caps & FLTX_RPE_SPECTRUM) check(&f, true);
        }
}

Test(rpe_gradient, weighted_spectra_are_the_ratios) {
    enum { R = 40 };
    for (size_t i = 0; encoding_of(i) != NULL; i++)
        for (size_t l = 1; l < 4; l++)
            for (int how = 0; how < 4; how++) {
                const flt_rpe_kind *kind = encoding_of(i);
                fixture f = fixture_of(kind, l, true);
                const flt_rpe_args a = args_of(&f);
                double xi[R * 3], rho[R], weight[R], again[R];
                if (!encoding_takes(kind, l) || !(kind->kind.caps & FLTX_RPE_SPECTRUM)) continue;
                if (how == FLTX_RPE_QUADRATURE && l > 1) continue;
                for (size_t r = 5; r <= R; r += R - 5) { // tables of lags: some lines, all lines
                    cr_assert(eq(int, flt_rpe_draw(kind, &a, (flt_rpe_sampling)how, 7, flt_rng_make(3, "test", l), r, xi, rho),
                                 FLTE_OK),
                              "%s: %s", kind->kind.name, flt_error());
                    flt_rpe_weigh(kind, &a, (flt_rpe_sampling)how, r, xi, rho, weight);
                    flt_rpe_ratio(kind, &a, how == FLTX_RPE_QUADRATURE, r, xi, weight, again);
                    for (size_t m = 0; m < r; m++)
                        cr_assert(le(dbl, fabs(again[m] - rho[m]), 1e-11 * fabs(rho[m]) + 4 * FLTX_EPS * (double)R),
                                  "%s l=%zu sampling %d r=%zu: ratio %zu is %g, again %g", kind->kind.name, l, how, r, m, rho[m],
                                  again[m]);
                }
            }
}
