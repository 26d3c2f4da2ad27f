// SPDX-License-Identifier: MIT
#include "engine/problem.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

size_t flt_problem_rows(const flt_problem *p) {
    return p->B * p->H * p->N;
}

static void fill(flt_problem *p) {
    const flt_rng root = flt_rng_make(p->seed, "problem", p->N);
    const size_t rows = flt_problem_rows(p);
    flt_rng_normal(flt_rng_child(root, "q", 0), 0, rows * p->d, p->q);
    flt_rng_normal(flt_rng_child(root, "k", 0), 0, rows * p->d, p->k);
    flt_rng_normal(flt_rng_child(root, "v", 0), 0, rows * p->dv, p->v);
    flt_rng_uniform_double(flt_rng_child(root, "pos", 0), 0, p->N * p->l, p->pos);
    for (size_t i = 0; p->encoding != NULL && i < p->N; i++) p->pos[i] = (double)i * p->encoding->step;
    for (size_t i = 0; i < rows * p->d; i++) {
        p->q[i] *= (flt_real)p->scale;
        p->k[i] *= (flt_real)p->scale;
    }
    const double w[2] = {0.8, -0.5}, mu[6] = {0.2, -0.1, 0.3, 0.6, 0.4, -0.5}, s2[2] = {0.6, 0.9};
    memcpy(p->w, w, sizeof w);
    memcpy(p->mu, mu, sizeof mu);
    memcpy(p->s2, s2, sizeof s2);
}

flt_err flt_problem_create(const flt_problem *shape, flt_problem **out) {
    flt_problem *p = NULL;
    flt_err err;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    *p = *shape;
    if (p->scale == 0.0) p->scale = 1.0;
    const size_t rows = flt_problem_rows(p);
    FLTX_GO(err, failed, flt_alloc(rows * p->d, sizeof *p->q, &p->q));
    FLTX_GO(err, failed, flt_alloc(rows * p->d, sizeof *p->k, &p->k));
    FLTX_GO(err, failed, flt_alloc(rows * p->dv, sizeof *p->v, &p->v));
    FLTX_GO(err, failed, flt_alloc(rows * p->dv, sizeof *p->out, &p->out));
    FLTX_GO(err, failed, flt_alloc(p->N * p->l, sizeof *p->pos, &p->pos));
    fill(p);
    *out = p;
    return FLTE_OK;
failed:
    flt_problem_destroy(p);
    return err;
}

void flt_problem_destroy(flt_problem *p) {
    if (p == NULL) return;
    flt_free(p->q);
    flt_free(p->k);
    flt_free(p->v);
    flt_free(p->out);
    flt_free(p->pos);
    flt_free(p);
}

const char *flt_problem_label(const flt_problem *p, const char *extra) {
    static _Thread_local char text[160];
    snprintf(text, sizeof text, "%s B=%zu H=%zu N=%zu d=%zu dv=%zu m=%zu r=%zu%s%s", p->causal ? "causal" : "bidirectional", p->B,
             p->H, p->N, p->d, p->dv, p->m, p->r, extra == NULL ? "" : " ", extra == NULL ? "" : extra);
    return text;
}

size_t flt_problem_keep(const flt_problem *p) {
    return (p->N + 2) / 3;
}

static bool declares(const flt_attention_kind *kind, const char *name) {
    for (const flt_param_spec *s = kind->kind.params; s != NULL && s->name != NULL; s++)
        if (strcmp(s->name, name) == 0) return true;
    return false;
}

static flt_err set_size(const flt_attention_kind *kind, flt_params *params, const char *name, size_t value) {
    char text[32];
    if (value == 0 || !declares(kind, name)) return FLTE_OK;
    snprintf(text, sizeof text, "%zu", value);
    return flt_params_set(params, name, text);
}

// Does the mechanism take an encoding here? With one that was chosen, also on evenly spaced positions alone.
static bool encoded(const flt_problem *p, const flt_attention_kind *kind) {
    if (p->plain) return false;
    return (kind->kind.caps & FLTX_ATT_RPE) != 0 || (p->encoding != NULL && declares(kind, "rpe"));
}

static flt_err make_params(const flt_problem *p, const flt_attention_kind *kind, flt_params **out) {
    FLTX_TRY(flt_params_create(kind->kind.name, kind->kind.params, out));
    FLTX_TRY(set_size(kind, *out, "m", p->m));
    FLTX_TRY(set_size(kind, *out, "r", p->r));
    FLTX_TRY(set_size(kind, *out, "keep", flt_problem_keep(p)));
    FLTX_TRY(set_size(kind, *out, "R", 12));
    FLTX_TRY(set_size(kind, *out, "K", 3));
    FLTX_TRY(set_size(kind, *out, "width", 5));
    if (encoded(p, kind) && declares(kind, "rpe"))
        FLTX_TRY(flt_params_set(*out, "rpe", p->encoding != NULL ? p->encoding->kind->kind.name : "gaussian_mixture"));
    if (p->options != NULL) FLTX_TRY(flt_params_parse(*out, p->options));
    return FLTE_OK;
}

flt_err flt_problem_plan(const flt_problem *p, const flt_attention_kind *kind, int threads, size_t n_extra,
                         const flt_attention_arg *extra, flt_attention **out) {
    enum { OWN = 4, MAX = 16 };
    flt_attention_arg args[MAX] = {
        {"pos", 2, {p->N, p->l}, p->pos}, {"w", 1, {2}, p->w}, {"mu", 2, {2, p->l}, p->mu}, {"s2", 1, {2}, p->s2}};
    size_t n = !encoded(p, kind) ? 0 : p->encoding != NULL ? 1 : OWN; // an encoding that was chosen brings its own
    for (size_t i = 0; n == 1 && i < p->encoding->n_args; i++) args[n + i] = p->encoding->args[i];
    if (n == 1) n += p->encoding->n_args;
    for (size_t i = 0; i < n_extra && n < MAX; i++) args[n++] = extra[i];
    flt_params *params = NULL;
    flt_err err = make_params(p, kind, &params);
    const flt_attention_desc desc = {.mechanism = kind->kind.name,
                                     .B = p->B,
                                     .H = p->H,
                                     .N = p->N,
                                     .d = p->d,
                                     .dv = p->dv,
                                     .causal = p->causal,
                                     .n_args = n,
                                     .args = args,
                                     .params = params,
                                     .seed = p->seed,
                                     .threads = threads,
                                     .backward = p->backward};
    if (err == FLTE_OK) err = flt_attention_create(&desc, out);
    flt_params_destroy(params);
    return err;
}

bool flt_problem_selected(const flt_verify_config *c, const char *name) {
    for (size_t i = 0; i < c->n_mechanisms; i++)
        if (strcmp(c->mechanisms[i], name) == 0) return true;
    return c->n_mechanisms == 0;
}

flt_err flt_each_mechanism(flt_check_context *c, unsigned caps, flt_mechanism_body body) {
    const flt_registry *r = flt_attention_registry();
    char status[96];
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        if ((r->kinds[i]->caps & caps) != caps || !flt_problem_selected(c->config, r->kinds[i]->name)) continue;
        if (flt_sink_stopped(c->sink)) return flt_fail(FLTE_INTERRUPTED, "verify", "stopped on request");
        snprintf(status, sizeof status, "%s: %s", c->check, r->kinds[i]->name);
        flt_sink_progress(c->sink, c->from + c->part * (double)i / (double)flt_registry_count(r), status);
        FLTX_TRY(flt_check_unable(c, r->kinds[i]->name, body(c, (const flt_attention_kind *)r->kinds[i])));
    }
    return FLTE_OK;
}

flt_err flt_each_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem_body body) {
    static const size_t quick[] = {1, 2, 3, 5, 8, 31, 33, 64, 65, 127, 150},
                        full[] = {1,  2,  3,  4,   5,   7,   8,   15,  16,  17,  31,  32,  33,  63,
                                  64, 65, 97, 127, 128, 129, 191, 200, 255, 256, 257, 509, 512, 513};
    static const struct {
        size_t d, dv, m, r, l, heads;
    } shapes[] = {{8, 5, 16, 4, 1, 2}, {1, 1, 1, 1, 1, 1}, {17, 8, 7, 3, 2, 3}, {32, 16, 65, 9, 3, 2}, {6, 3, 10, 2, 2, 4}};
    const size_t n_sizes = c->config->full ? sizeof full / sizeof *full : sizeof quick / sizeof *quick;
    for (size_t i = 0; i < n_sizes; i++) {
        for (int causal = 0; causal <= ((kind->kind.caps & FLTX_ATT_CAUSAL) != 0); causal++) {
            const size_t s = (i + (size_t)causal) % (sizeof shapes / sizeof *shapes);
            const flt_problem shape = {.B = 1 + i % 3,
                                       .H = shapes[s].heads,
                                       .N = c->config->full ? full[i] : quick[i],
                                       .d = shapes[s].d,
                                       .dv = (kind->kind.caps & FLTX_ATT_MIXING) != 0 ? shapes[s].d : shapes[s].dv,
                                       .l = shapes[s].l,
                                       .m = shapes[s].m,
                                       .r = shapes[s].r,
                                       .causal = causal != 0,
                                       .seed = c->config->seed + i};
            flt_problem *p = NULL;
            FLTX_TRY(flt_problem_create(&shape, &p));
            const flt_err err = body(c, kind, p);
            flt_problem_destroy(p);
            FLTX_TRY(err);
        }
    }
    return FLTE_OK;
}

flt_err flt_problem_plan_smooth(flt_problem *p, const flt_attention_kind *kind, size_t n_extra, const flt_attention_arg *extra,
                                flt_attention **out) {
    enum { MAX = 8 };
    const size_t pairs = p->N / 2 + 1;
    flt_attention_arg args[MAX + 1];
    double *open = NULL;
    size_t n = 0;
    p->backward = true;
    if ((kind->kind.caps & FLTX_ATT_MIXING) == 0) return flt_problem_plan(p, kind, 1, n_extra, extra, out);
    FLTX_TRY(flt_alloc(pairs, sizeof *open, &open));
    for (size_t i = 0; i < pairs; i++) open[i] = 0.1;
    for (size_t i = 0; i < n_extra && n < MAX; i++)
        if (strcmp(extra[i].name, "bias") != 0) args[n++] = extra[i];
    args[n++] = (flt_attention_arg){"bias", 1, {pairs}, open};
    p->options = "eps=1000";
    const flt_err err = flt_problem_plan(p, kind, 1, n, args, out);
    flt_free(open);
    return err;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double flt_problem_seconds(const flt_problem *p, flt_attention *plan) {
    double best = INFINITY;
    for (int i = 0; i < 3; i++) {
        const double start = now();
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        best = fmin(best, now() - start);
    }
    return best;
}

double flt_output_ratio(const flt_problem *p, const flt_real *got, const flt_real *want, double exponent) {
    const size_t n = flt_problem_rows(p) * p->dv;
    double error = 0.0, largest = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double e = (double)got[i] - (double)want[i];
        error += e * e;
        if (!(fabs((double)p->v[i]) <= largest)) largest = fabs((double)p->v[i]);
    }
    return sqrt(error / (double)n) / (FLTX_EPS * (1.0 + exponent + log2(2.0 * (double)p->N)) * largest);
}
