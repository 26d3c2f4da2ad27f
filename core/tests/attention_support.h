// SPDX-License-Identifier: MIT
// What the tests of core/attention share: random problems, plans from a line of text, oracles in long double by plain loops.
#ifndef ATTENTION_SUPPORT_H
#define ATTENTION_SUPPORT_H

#include "num_support.h"

#include "flt/attention.h"

#include <stdio.h>

// Roundings on an exponent's way (projection, positions, norm, scale); the exponents themselves are of order one.
enum { GROWTH = 4, MAX_ARGS = 12 };

typedef struct problem {
    const char *mechanism, *params; // params: "m=5,r=3", "" for the defaults
    size_t B, H, N, d, dv;
    bool causal, backward;
    int threads;
    uint64_t seed;
    flt_real *q, *k, *v, *out;
    size_t n_args;
    flt_attention_arg args[MAX_ARGS];
} problem;

static inline void inputs(problem *p, double scale) {
    const size_t tokens = p->B * p->H * p->N;
    p->q = reals(tokens * p->d);
    p->k = reals(tokens * p->d);
    p->v = reals(tokens * p->dv);
    p->out = reals(tokens * p->dv);
    fill(p->seed + 1, tokens * p->d, p->q);
    fill(p->seed + 2, tokens * p->d, p->k);
    fill(p->seed + 3, tokens * p->dv, p->v);
    for (size_t i = 0; i < tokens * p->d; i++) p->q[i] *= (flt_real)scale, p->k[i] *= (flt_real)scale;
}

static inline size_t arg_count(const flt_attention_arg *a) {
    size_t n = 1;
    for (size_t i = 0; i < a->rank; i++) n *= a->dim[i];
    return n;
}

// Adds an argument of shape dim [rank] (0 in front for "shared", else the number of heads), uniform in low .. high.
static inline double *add_arg(problem *p, const char *name, size_t heads, size_t rank, const size_t *dim, double low,
                              double high) {
    cr_assert(lt(sz, p->n_args, (size_t)MAX_ARGS));
    flt_attention_arg *a = &p->args[p->n_args++];
    const size_t lead = heads != 0;
    uint64_t state = p->seed * 31 + p->n_args;
    *a = (flt_attention_arg){.name = name, .rank = rank + lead};
    if (lead) a->dim[0] = heads;
    for (size_t i = 0; i < rank; i++) a->dim[lead + i] = dim[i];
    double *data = take(arg_count(a), sizeof *data);
    for (size_t i = 0; i < arg_count(a); i++) data[i] = low + (high - low) * 0.5 * (next_real(&state) + 1.0);
    a->data = data;
    return data;
}

// The data of an argument for one head, NULL when it is not there. rank: of one head.
static inline const double *arg_head(size_t n, const flt_attention_arg *args, const char *name, size_t rank, size_t head) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(args[i].name, name) != 0) continue;
        return args[i].rank == rank ? args[i].data : args[i].data + head * (arg_count(&args[i]) / args[i].dim[0]);
    }
    return NULL;
}

static inline void drop_problem(problem *p) {
    flt_free(p->q);
    flt_free(p->k);
    flt_free(p->v);
    flt_free(p->out);
    for (size_t i = 0; i < p->n_args; i++) flt_free((void *)(uintptr_t)p->args[i].data);
}

static inline flt_err try_plan(const problem *p, flt_attention **out) {
    const flt_attention_kind *kind = NULL;
    flt_params *params = NULL;
    flt_attention_desc desc = {p->mechanism, p->B,    p->H, p->N,    p->d,       p->dv,      p->causal,
                               p->n_args,    p->args, NULL, p->seed, p->threads, p->backward};
    flt_err err = flt_attention_find(p->mechanism, &kind);
    *out = NULL;
    if (err == FLTE_OK) err = flt_params_create(p->mechanism, kind->kind.params, &params);
    if (err == FLTE_OK) err = flt_params_parse(params, p->params != NULL ? p->params : "");
    desc.params = params;
    if (err == FLTE_OK) err = flt_attention_create(&desc, out);
    flt_params_destroy(params);
    return err;
}

static inline flt_attention *plan_of(const problem *p) {
    flt_attention *a = NULL;
    const flt_err err = try_plan(p, &a);
    cr_assert(eq(int, err, FLTE_OK), "%s: %s", p->mechanism, flt_error());
    return a;
}

static inline void run_problem(problem *p) {
    flt_attention *a = plan_of(p);
    flt_attention_forward(a, p->q, p->k, p->v, p->out);
    flt_attention_destroy(a);
}

static inline const char *label(const problem *p) {
    static char text[256];
    snprintf(text, sizeof text, "%s B=%zu H=%zu N=%zu d=%zu dv=%zu causal=%d args=%zu %s", p->mechanism, p->B, p->H, p->N, p->d,
             p->dv, p->causal, p->n_args, p->params != NULL ? p->params : "");
    return text;
}

// Relative Frobenius error in units of eps GROWTH.
static inline double judge_rows(size_t n, const flt_real *got, const long double *want) {
    long double error = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    const double rel = norm == 0 ? (double)sqrtl(error) : (double)sqrtl(error / norm);
    return isnan(rel) ? INFINITY : rel / (FLTX_EPS * GROWTH);
}

// ---- oracles, one head.  weight [N, N] -> want [N, dv] = (weight v) / row sums, on and below the diagonal when causal
static inline void oracle_average(size_t N, size_t dv, bool causal, const long double *weight, const flt_real *v,
                                  long double *want) {
    for (size_t i = 0; i < N; i++) {
        long double den = 0;
        for (size_t c = 0; c < dv; c++) want[i * dv + c] = 0;
        for (size_t j = 0; j < (causal ? i + 1 : N); j++) {
            den += weight[i * N + j];
            for (size_t c = 0; c < dv; c++) want[i * dv + c] += weight[i * N + j] * v[j * dv + c];
        }
        for (size_t c = 0; c < dv; c++) want[i * dv + c] /= den;
    }
}

// bias [N, N] or NULL. Extended exponents need no stabilising.
static inline void oracle_exact(size_t N, size_t d, const flt_real *q, const flt_real *k, const long double *bias,
                                long double *weight) {
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            long double dot = 0;
            for (size_t c = 0; c < d; c++) dot += (long double)q[i * d + c] * k[j * d + c];
            weight[i * N + j] = expl(dot / sqrtl((long double)d) + (bias != NULL ? bias[i * N + j] : 0));
        }
}

// phi [N, m (2m)] of x [N, D] with omega [m, D]: exp(+-omega x - |x|^2/2).
static inline void oracle_features(size_t N, size_t D, size_t m, bool hyperbolic, const long double *x, const double *omega,
                                   long double *phi) {
    const size_t F = hyperbolic ? 2 * m : m;
    for (size_t i = 0; i < N; i++)
        for (size_t f = 0; f < m; f++) {
            long double dot = 0, square = 0;
            for (size_t c = 0; c < D; c++) {
                dot += omega[f * D + c] * x[i * D + c];
                square += x[i * D + c] * x[i * D + c];
            }
            phi[i * F + f] = expl(dot - square / 2);
            if (hyperbolic) phi[i * F + m + f] = expl(-dot - square / 2);
        }
}

static inline void oracle_kernel(size_t N, size_t F, const long double *fq, const long double *fk, long double *weight) {
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            long double dot = 0;
            for (size_t f = 0; f < F; f++) dot += fq[i * F + f] * fk[j * F + f];
            weight[i * N + j] = dot;
        }
}

// x [N, d + 2r]: q / d^(1/4) and the snippet of its position; rho NULL: the side of the keys.
static inline void oracle_inputs(size_t N, size_t d, size_t l, size_t r, const flt_real *q, const double *pos, const double *xi,
                                 const double *rho, long double *x) {
    const long double two_pi = 6.283185307179586476925286766559006L;
    const size_t D = d + 2 * r;
    for (size_t i = 0; i < N; i++) {
        for (size_t c = 0; c < d; c++) x[i * D + c] = q[i * d + c] / sqrtl(sqrtl((long double)d));
        for (size_t m = 0; m < r; m++) {
            long double turns = 0;
            for (size_t c = 0; c < l; c++) turns += (long double)xi[m * l + c] * pos[i * l + c];
            const long double amp = (rho != NULL ? rho[m] : 1.0L) / sqrtl((long double)r),
                              phase = two_pi * (turns - rintl(turns));
            x[i * D + d + m] = amp * cosl(phase);
            x[i * D + d + r + m] = amp * sinl(phase);
        }
    }
}

#endif
