// SPDX-License-Identifier: MIT
// Gradients of attention against differences of its own forward pass, by moving inputs and updating arguments: in double a
// difference of sixth order is good to 1e-7 of the gradient, in float the bound only catches what is plainly wrong.
#ifndef ATTENTION_DIFFERENCE_H
#define ATTENTION_DIFFERENCE_H

#include "attention_support.h"

static const double step = sizeof(flt_real) == 8 ? 1e-4 : 5e-3, bound = sizeof(flt_real) == 8 ? 1e-7 : 5e-2;
static const double at[6] = {-3, -2, -1, 1, 2, 3}, weight[6] = {-1, 9, -45, 45, -9, 1};

typedef struct scene {
    problem p;
    flt_attention *a;
    flt_real *dout, *d[3], *x[3];
    size_t rows;
} scene;

static inline size_t in_count(const scene *s, size_t t) {
    return s->p.B * s->p.H * s->p.N * (t < 2 ? s->p.d : s->p.dv);
}

static inline size_t out_count(const scene *s) {
    return s->p.B * s->p.H * s->rows * s->p.dv;
}

static inline void plan(scene *s) {
    const flt_real *in[3] = {s->p.q, s->p.k, s->p.v};
    s->p.backward = true;
    s->a = plan_of(&s->p);
    s->rows = flt_attention_rows(s->a);
    s->dout = reals(out_count(s));
    fill(77, out_count(s), s->dout);
    for (size_t t = 0; t < 3; t++) {
        s->d[t] = reals(in_count(s, t));
        s->x[t] = reals(in_count(s, t));
        memcpy(s->x[t], in[t], in_count(s, t) * sizeof **s->x);
    }
}

static inline void drop(scene *s) {
    flt_attention_destroy(s->a);
    flt_free(s->dout);
    for (size_t t = 0; t < 3; t++) flt_free(s->d[t]), flt_free(s->x[t]);
    drop_problem(&s->p);
}

static inline double loss(const scene *s) {
    double sum = 0;
    flt_attention_forward(s->a, s->x[0], s->x[1], s->x[2], s->p.out);
    for (size_t i = 0; i < out_count(s); i++) sum += (double)s->dout[i] * (double)s->p.out[i];
    return sum;
}

static inline void differentiate(scene *s, const char *name, double *to) {
    const flt_attention_gradient grad = {name, to};
    loss(s);
    const flt_attention_pass pass = {s->x[0], s->x[1], s->x[2], s->p.out,     s->dout,
                                     s->d[0], s->d[1], s->d[2], name != NULL, &grad};
    const size_t before = flt_alloc_count();
    cr_assert(eq(int, flt_attention_backward(s->a, &pass), FLTE_OK), "%s: %s", label(&s->p), flt_error());
    cr_assert(eq(sz, flt_alloc_count(), before), "%s: backward allocates", label(&s->p));
}

static inline void judge(const scene *s, const char *name, double dot, double size, double want) {
    const double noise = 300 * FLTX_EPS / step;
    if (getenv("SHOW_RATIOS")) fprintf(stderr, "%9.2e %s %s\n", fabs(dot - want) / size, label(&s->p), name);
    cr_assert(le(dbl, fabs(dot - want), bound * size + noise), "%s: gradient of %s: %g, by differences %g", label(&s->p), name,
              dot, want);
}

static inline void check_input(scene *s, size_t t, const char *name) {
    const flt_real *in = t == 0 ? s->p.q : t == 1 ? s->p.k : s->p.v;
    double dot = 0, size = 0, want = 0;
    uint64_t state = 5 + t;
    const size_t n = in_count(s, t);
    double *dir = take(n, sizeof *dir);
    differentiate(s, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        dir[i] = next_real(&state);
        dot += dir[i] * (double)s->d[t][i], size += fabs(dir[i] * (double)s->d[t][i]);
    }
    for (size_t k = 0; k < 6; k++) {
        for (size_t i = 0; i < n; i++) s->x[t][i] = (flt_real)((double)in[i] + step * at[k] * dir[i]);
        want += weight[k] * loss(s) / (60 * step);
    }
    memcpy(s->x[t], in, n * sizeof *in);
    flt_free(dir);
    judge(s, name, dot, size, want);
}

static inline void check_argument(scene *s, const flt_attention_arg *used) {
    const size_t n = arg_count(used);
    double *got = take(n, sizeof *got), *dir = take(n, sizeof *dir), *old = take(n, sizeof *old), *now = take(n, sizeof *now);
    double dot = 0, size = 0, want = 0;
    uint64_t state = 7 + n;
    flt_attention_arg arg = *used;
    memcpy(old, used->data, n * sizeof *old);
    arg.data = now;
    differentiate(s, used->name, got);
    for (size_t i = 0; i < n; i++) dir[i] = next_real(&state), dot += dir[i] * got[i], size += fabs(dir[i] * got[i]);
    for (size_t k = 0; k < 7; k++) {
        for (size_t i = 0; i < n; i++) now[i] = old[i] + (k < 6 ? step * at[k] * dir[i] : 0);
        cr_assert(eq(int, flt_attention_update(s->a, 1, &arg), FLTE_OK), "%s %s: %s", label(&s->p), arg.name, flt_error());
        if (k < 6) want += weight[k] * loss(s) / (60 * step);
    }
    judge(s, used->name, dot, size, want);
    flt_free(got);
    flt_free(dir);
    flt_free(old);
    flt_free(now);
}

#endif
