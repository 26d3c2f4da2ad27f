// SPDX-License-Identifier: MIT
// Attention on 8 heads of width 64 with evenly spaced positions: forward bidirectional and causal; one token of a stream;
// backward in the same two forms, each pass beside a forward one of the same plan. The arithmetic is flt_attention_flops, for a
// token that of the causal pass by tokens. The bytes that must move are those of q, k, v and the output; backward all four, the
// output's gradient and the three that are written.
#include "engine/bench.h"
#include "engine/problem.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEADS = 8, WIDTH = 64, ERROR_LIMIT = 2048, MAX_SIZES = 64 };

typedef struct job {
    const flt_problem *p;
    flt_attention *plan;
    double flops;               // of a forward pass, or of a backward one where the plan has it
    flt_real *dout, *gradients; // [rows, dv]; dq, dk, dv in a row; backward
} job;

static flt_err forward(void *self, size_t calls) {
    job *j = self;
    for (size_t i = 0; i < calls; i++) flt_attention_forward(j->plan, j->p->q, j->p->k, j->p->v, j->p->out);
    return FLTE_OK;
}

static flt_err backward(void *self, size_t calls) {
    job *j = self;
    const flt_problem *p = j->p;
    const size_t width = flt_problem_rows(p) * p->d;
    const flt_attention_pass pass = {.q = p->q,
                                     .k = p->k,
                                     .v = p->v,
                                     .out = p->out,
                                     .dout = j->dout,
                                     .dq = j->gradients,
                                     .dk = j->gradients + width,
                                     .dv = j->gradients + 2 * width};
    for (size_t i = 0; i < calls; i++) FLTX_TRY(flt_attention_backward(j->plan, &pass));
    return FLTE_OK;
}

// The inputs' first rows stand for the token's heads: which numbers they are makes no difference to the time.
static flt_err stream(void *self, size_t calls) {
    job *j = self;
    for (size_t i = 0; i < calls; i++) {
        FLTX_TRY(flt_attention_begin(j->plan));
        for (size_t t = 0; t < j->p->N; t++) {
            const size_t at = t * HEADS * WIDTH;
            flt_attention_step(j->plan, j->p->q + at, j->p->k + at, j->p->v + at, j->p->out + at);
        }
    }
    return FLTE_OK;
}

// ---- plans

static flt_err set_size(const flt_kind *kind, flt_params *p, const char *name, size_t value) {
    char text[32];
    snprintf(text, sizeof text, "%zu", value);
    return value > 0 && flt_bench_declares(kind, name) ? flt_params_set(p, name, text) : FLTE_OK;
}

// A plan over the problem with the settings of the command line; `encoded`: with the problem's mixture as encoding.
static flt_err make_plan(const flt_bench_config *c, const flt_problem *p, const flt_attention_kind *kind, bool encoded,
                         job *out) {
    const flt_attention_arg args[] = {
        {"pos", 2, {p->N, p->l}, p->pos}, {"w", 1, {2}, p->w}, {"mu", 2, {2, p->l}, p->mu}, {"s2", 1, {2}, p->s2}};
    flt_params *params = NULL;
    FLTX_TRY(flt_params_create(kind->kind.name, kind->kind.params, &params));
    flt_err err = set_size(&kind->kind, params, "m", p->m);
    if (err == FLTE_OK) err = set_size(&kind->kind, params, "r", p->r);
    if (err == FLTE_OK && encoded && flt_bench_declares(&kind->kind, "rpe"))
        err = flt_params_set(params, "rpe", "gaussian_mixture");
    if (err == FLTE_OK) err = flt_bench_apply(c, &kind->kind, params);
    const flt_attention_desc desc = {.mechanism = kind->kind.name,
                                     .B = p->B,
                                     .H = p->H,
                                     .N = p->N,
                                     .d = p->d,
                                     .dv = p->dv,
                                     .causal = p->causal,
                                     .n_args = encoded ? 4 : 0,
                                     .args = args,
                                     .params = params,
                                     .seed = p->seed,
                                     .threads = c->threads,
                                     .backward = p->backward};
    if (err == FLTE_OK) err = flt_attention_create(&desc, &out->plan);
    if (err == FLTE_OK) out->flops = flt_attention_flops(&desc, p->backward);
    flt_params_destroy(params);
    return err;
}

static bool is_encoded(const flt_attention_kind *kind) {
    return (kind->kind.caps & FLTX_ATT_RPE) != 0 || flt_bench_declares(&kind->kind, "rpe");
}

// ---- error beside speed

static double relative(size_t n, const flt_real *got, const flt_real *want) {
    double error = 0.0, scale = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double e = (double)got[i] - (double)want[i];
        error += e * e;
        scale += (double)want[i] * (double)want[i];
    }
    return sqrt(error / scale);
}

// Distance of the plan's output from exact attention with the same encoding, or without one; NaN where that would take long.
static flt_err distance(const flt_bench_config *c, const flt_problem *p, const flt_attention_kind *kind, flt_attention *plan,
                        double *out) {
    const flt_attention_kind *exact = NULL;
    const flt_bench_config plain = {.threads = c->threads};
    const size_t n = flt_problem_rows(p) * p->dv;
    job other = {.p = p};
    flt_real *want = NULL;
    *out = NAN;
    if (p->N > ERROR_LIMIT || (kind->kind.caps & FLTX_ATT_EXACT) != 0) return FLTE_OK;
    FLTX_TRY(flt_attention_find("exact", &exact));
    FLTX_TRY(make_plan(&plain, p, exact, is_encoded(kind), &other));
    const flt_err err = flt_alloc(n, sizeof *want, &want);
    if (err == FLTE_OK) {
        flt_attention_forward(other.plan, p->q, p->k, p->v, want);
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        *out = relative(n, p->out, want);
    }
    flt_free(want);
    flt_attention_destroy(other.plan);
    return err;
}

// ---- cases

static flt_bench_case make_case(const flt_bench_config *c, const flt_attention_kind *kind, job *j) {
    const flt_problem *p = j->p;
    const double rows = (double)flt_problem_rows(p);
    return (flt_bench_case){.row = {.subject = kind->kind.name,
                                    .phase = p->causal ? "causal" : "forward",
                                    .label = "B=1 H=8",
                                    .n = p->N,
                                    .d = WIDTH,
                                    .m = p->m,
                                    .r = p->r,
                                    .threads = c->threads,
                                    .flops = j->flops,
                                    .moved = rows * (double)(2 * p->d + 2 * p->dv) * sizeof(flt_real),
                                    .bytes = (double)flt_attention_workspace(j->plan),
                                    .error = NAN},
                            .self = j,
                            .run = forward};
}

static flt_err measure_stream(flt_bench *b, const flt_attention_kind *kind, flt_bench_case c) {
    const bool linear = (kind->kind.caps & FLTX_ATT_LINEAR) != 0;
    c.row.phase = "token";
    c.run = stream;
    c.parts = (double)c.row.n;
    c.row.flops = linear ? c.row.flops / c.parts : NAN;
    c.row.moved = NAN; // the state stays in the caches
    c.row.threads = 1;
    c.row.error = NAN;
    return flt_bench_measure(b, &c);
}

static unsigned phases_of(const flt_bench_config *c) {
    return c->phases == 0 ? FLTX_BENCH_FORWARD | FLTX_BENCH_STREAM : c->phases;
}

static bool streams(const flt_bench *b, const flt_attention_kind *kind, const flt_problem *p) {
    return p->causal && (phases_of(b->config) & FLTX_BENCH_STREAM) != 0 && (kind->kind.caps & FLTX_ATT_STREAM) != 0;
}

static flt_err measure_forward(flt_bench *b, const flt_attention_kind *kind, job *j) {
    flt_bench_case c = make_case(b->config, kind, j);
    if ((phases_of(b->config) & FLTX_BENCH_FORWARD) != 0) {
        FLTX_TRY(distance(b->config, j->p, kind, j->plan, &c.row.error));
        FLTX_TRY(flt_bench_measure(b, &c));
    }
    return streams(b, kind, j->p) ? measure_stream(b, kind, c) : FLTE_OK;
}

static flt_err measure_backward(flt_bench *b, const flt_attention_kind *kind, job *j) {
    const flt_problem *p = j->p;
    const size_t rows = flt_problem_rows(p);
    flt_bench_case c = make_case(b->config, kind, j);
    FLTX_TRY(flt_alloc(rows * p->dv, sizeof *j->dout, &j->dout));
    FLTX_TRY(flt_alloc(rows * (2 * p->d + p->dv), sizeof *j->gradients, &j->gradients));
    memcpy(j->dout, p->v, rows * p->dv * sizeof *j->dout);
    flt_attention_forward(j->plan, p->q, p->k, p->v, p->out);
    c.row.phase = p->causal ? "causal_backward" : "backward";
    c.row.moved = (double)rows * (double)(4 * p->d + 4 * p->dv) * sizeof(flt_real);
    c.run = backward;
    c.beside = forward;
    return flt_bench_measure(b, &c);
}

typedef flt_err (*measure_fn)(flt_bench *b, const flt_attention_kind *kind, job *j);

static flt_err measure_shape(flt_bench *b, const flt_attention_kind *kind, flt_problem shape, measure_fn measure) {
    flt_problem *p = NULL;
    job j = {0};
    FLTX_TRY(flt_problem_create(&shape, &p));
    for (size_t i = 0; i < p->N; i++) p->pos[i] = (double)i / (double)p->N;
    j.p = p;
    flt_err err = make_plan(b->config, p, kind, is_encoded(kind), &j);
    err = err == FLTE_OK ? measure(b, kind, &j) : flt_bench_refused(b, kind->kind.name, err);
    flt_attention_destroy(j.plan);
    flt_free(j.dout);
    flt_free(j.gradients);
    flt_problem_destroy(p);
    return err;
}

static flt_err measure_phases(flt_bench *b, const flt_attention_kind *kind, flt_problem shape) {
    const unsigned phases = phases_of(b->config);
    if ((phases & FLTX_BENCH_FORWARD) != 0 || streams(b, kind, &shape)) FLTX_TRY(measure_shape(b, kind, shape, measure_forward));
    shape.backward = true;
    if ((phases & FLTX_BENCH_BACKWARD) == 0 || (kind->kind.caps & FLTX_ATT_BACKWARD) == 0) return FLTE_OK;
    return measure_shape(b, kind, shape, measure_backward);
}

// Says of which phases that were asked for there will be no row.
static flt_err check_phases(const flt_bench *b, const flt_attention_kind *kind) {
    const char *name = kind->kind.name;
    if ((b->config->phases & FLTX_BENCH_BACKWARD) != 0 && (kind->kind.caps & FLTX_ATT_BACKWARD) == 0)
        FLTX_TRY(flt_bench_refused(b, name, flt_fail(FLTE_UNSUPPORTED, name, "it has no backward pass")));
    if ((b->config->phases & FLTX_BENCH_STREAM) != 0 && (kind->kind.caps & FLTX_ATT_STREAM) == 0)
        return flt_bench_refused(b, name, flt_fail(FLTE_UNSUPPORTED, name, "it has no streaming form"));
    return FLTE_OK;
}

// ---- the grid

static size_t choose(size_t n, const size_t *given, size_t n_own, const size_t *own, bool has, const size_t **out) {
    static const size_t none[] = {0};
    *out = !has ? none : n > 0 ? given : own;
    return !has ? 1 : n > 0 ? n : n_own;
}

static flt_err measure_kind(flt_bench *b, const flt_attention_kind *kind) {
    static const size_t own_n[] = {512, 2048}, own_m[] = {256}, own_r[] = {32};
    const flt_bench_config *c = b->config;
    const size_t *n = NULL, *m = NULL, *r = NULL;
    const size_t n_n = choose(c->n_n, c->n, 2, own_n, true, &n);
    const size_t n_m = choose(c->n_m, c->m, 1, own_m, flt_bench_declares(&kind->kind, "m"), &m);
    const size_t n_r = choose(c->n_r, c->r, 1, own_r, flt_bench_declares(&kind->kind, "r"), &r);
    FLTX_TRY(check_phases(b, kind));
    const int forms = (kind->kind.caps & FLTX_ATT_CAUSAL) != 0 ? 2 : 1;
    for (size_t i = 0; i < n_n * n_m * n_r * (size_t)forms; i++) {
        const size_t form = i % (size_t)forms, cell = i / (size_t)forms;
        const flt_problem shape = {.B = 1,
                                   .H = HEADS,
                                   .N = n[cell / (n_m * n_r)],
                                   .d = WIDTH,
                                   .dv = WIDTH,
                                   .l = 1,
                                   .m = m[cell / n_r % n_m],
                                   .r = r[cell % n_r],
                                   .causal = form == 1,
                                   .scale = 0.5,
                                   .seed = c->seed};
        FLTX_TRY(measure_phases(b, kind, shape));
    }
    return FLTE_OK;
}

flt_err flt_bench_attention(flt_bench *b) {
    const flt_registry *r = flt_attention_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        if (flt_bench_selected(b->config, r->kinds[i]->name)) FLTX_TRY(measure_kind(b, (const flt_attention_kind *)r->kinds[i]));
    return FLTE_OK;
}
