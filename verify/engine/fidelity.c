// SPDX-License-Identifier: MIT
// Runs the fidelity table, group by group: one encoding, length and input scale; all recipes, budgets and seeds.
//
// Recipes are measured in turn, budgets growing; a budget that takes longer than SLOWEST times exact attention ends its recipe.
#include "engine/fidelity.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_ROWS = 1024, MAX_OPTIONS = 160, RUNS = 5 };
#define SLOWEST 3.0

typedef struct grid {
    size_t n_encodings, n_n, n_m, n_r, n_scales, seeds, width;
    const char *const *encodings;
    const size_t *n, *m, *r;
    const double *scales;
} grid;

typedef struct table {
    const flt_fidelity_config *c;
    const flt_sink *sink;
    grid grid;
    size_t done, all; // groups
    const flt_encoding_case *encoding;
    flt_fidelity_group group;
    flt_problem *problem; // of the present seed
    flt_real *folded[2];  // q, k with 1/sqrt d
    double *lags, *want;
    bool ended[64];        // recipes that are over for this group
    size_t seen[MAX_ROWS]; // seeds that a row has been measured on
    flt_fidelity_row rows[MAX_ROWS];
    flt_fidelity_ratio ratios[64];
} table;

// One thread's own clock, which other work on the machine disturbs less than the wall's; with several threads the wall's.
static double now(int threads) {
    struct timespec t;
    clock_gettime(threads <= 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static grid grid_of(const flt_fidelity_config *c) {
    static const char *const few[] = {"gaussian_mixture", "gaussian", "laplace", "alibi"};
    static const char *const many[] = {"none", "gaussian_mixture", "gaussian", "laplace",     "matern32",  "matern52",  "cauchy",
                                       "box",  "window",           "alibi",    "exponential", "lag_table", "t5_buckets"};
    static const size_t n[] = {4096}, m[] = {64, 256, 1024}, r[] = {2, 4, 8, 16, 32, 64};
    static const double one[] = {0.5}, three[] = {0.25, 0.5, 1.0};
    grid g = {.n_encodings = 4,
              .n_n = 1,
              .n_m = 3,
              .n_r = 6,
              .n_scales = 1,
              .seeds = 1,
              .width = 64,
              .encodings = few,
              .n = n,
              .m = m,
              .r = r,
              .scales = one};
    if (c->full) g.n_encodings = sizeof many / sizeof *many, g.encodings = many, g.n_scales = 3, g.scales = three, g.seeds = 3;
    if (c->n_encodings > 0) g.n_encodings = c->n_encodings, g.encodings = c->encodings;
    if (c->n_n > 0) g.n_n = c->n_n, g.n = c->n;
    if (c->n_m > 0) g.n_m = c->n_m, g.m = c->m;
    if (c->n_r > 0) g.n_r = c->n_r, g.r = c->r;
    if (c->n_scales > 0) g.n_scales = c->n_scales, g.scales = c->scales;
    if (c->seeds > 0) g.seeds = c->seeds;
    if (c->width > 0) g.width = c->width;
    return g;
}

// ---- one cell

static flt_problem shape_of(const table *t, size_t seed, const char *options, size_t m, size_t r) {
    return (flt_problem){.B = 1,
                         .H = 1,
                         .N = t->group.n,
                         .d = t->grid.width,
                         .dv = t->grid.width,
                         .l = 1,
                         .m = m,
                         .r = r,
                         .scale = t->group.scale,
                         .seed = t->c->seed + seed,
                         .options = options,
                         .encoding = t->encoding};
}

// Least of several runs; a pass beyond a second is not repeated.
static double time_forward(const table *t, const flt_problem *p, flt_attention *plan) {
    double best = INFINITY;
    for (int i = 0; i < RUNS && !(best > 1.0 && i > 0 && best < INFINITY); i++) {
        const double start = now(t->c->threads);
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        best = fmin(best, now(t->c->threads) - start);
    }
    return best;
}

// Options as the plan gets them: the recipe's, and its size parameter.
static void plan_options(const flt_recipe *recipe, size_t m, char *text) {
    const char *comma = recipe->options[0] != '\0' ? "," : "";
    if (recipe->size != NULL)
        snprintf(text, MAX_OPTIONS, "%s%s%s=%zu", recipe->options, comma, recipe->size, m);
    else
        snprintf(text, MAX_OPTIONS, "%s", recipe->options);
}

static flt_err record(const table *t, const flt_recipe *recipe, const flt_fidelity_row *row, size_t seed, double error) {
    char options[MAX_OPTIONS];
    const bool none = recipe->options[0] == '\0';
    snprintf(options, sizeof options, "%s%ssd=%g", recipe->options, none ? "" : ",", t->group.scale);
    const flt_field fields[] = {flt_text_field("mechanism", recipe->mechanism),
                                flt_text_field("encoding", t->group.encoding),
                                flt_text_field("options", options),
                                flt_num_field("n", (double)t->group.n),
                                flt_num_field("d", (double)t->group.d),
                                flt_num_field("m", (double)row->m),
                                flt_num_field("r", (double)row->r),
                                flt_num_field("seed", (double)(t->c->seed + seed)),
                                flt_num_field("causal", 0.0),
                                flt_num_field("threads", t->c->threads),
                                flt_num_field("error_total", error),
                                flt_num_field("seconds", row->seconds),
                                flt_num_field("seconds_exact", t->group.seconds_exact),
                                flt_num_field("bytes", row->bytes),
                                flt_num_field("bytes_exact", t->group.bytes_exact),
                                flt_text_field("detail", "fidelity")};
    return flt_sink_record(t->sink, "ladder", sizeof fields / sizeof *fields, fields);
}

static flt_fidelity_row *row_of(table *t, size_t recipe, size_t m, size_t r) {
    for (size_t i = 0; i < t->group.n_rows; i++)
        if (t->rows[i].recipe == recipe && t->rows[i].m == m && t->rows[i].r == r) return &t->rows[i];
    if (t->group.n_rows == MAX_ROWS) return NULL;
    t->seen[t->group.n_rows] = 0;
    flt_fidelity_row *row = &t->rows[t->group.n_rows++];
    *row = (flt_fidelity_row){.mechanism = flt_recipes[recipe].mechanism,
                              .options = flt_recipes[recipe].options,
                              .m = m,
                              .r = r,
                              .seconds = INFINITY,
                              .published = flt_recipes[recipe].published,
                              .recipe = recipe};
    return row;
}

// Runs a plan over the seed's inputs: the row's sums, a record.
static flt_err run_plan(table *t, const flt_recipe *recipe, flt_fidelity_row *row, size_t seed, flt_attention *plan) {
    flt_problem p = *t->problem;
    if (recipe->fold_scale) p.q = t->folded[0], p.k = t->folded[1];
    row->seconds = fmin(row->seconds, time_forward(t, &p, plan));
    const double error = flt_relative_error(p.N * p.dv, p.out, t->want);
    const double seen = (double)++t->seen[row - t->rows]; // a recipe that is over misses the later seeds
    row->error += (error - row->error) / seen;
    if (!(error <= row->worst)) row->worst = error;
    return record(t, recipe, row, seed, error);
}

// A recipe that cannot run here is left out: FLTE_UNSUPPORTED, or a choice or mechanism that does not exist.
static flt_err leave_out(table *t, size_t recipe, flt_err err) {
    char text[256];
    if (err == FLTE_NOMEM || err == FLTE_INTERRUPTED || err == FLTE_INTERNAL) return err;
    t->ended[recipe] = true;
    snprintf(text, sizeof text, "fidelity: %s %s on %s left out: %.120s", flt_recipes[recipe].mechanism,
             flt_recipes[recipe].options, t->group.encoding, flt_error());
    flt_error_clear();
    const flt_field fields[] = {flt_text_field("level", "info"), flt_text_field("message", text)};
    return flt_sink_record(t->sink, "event", 2, fields);
}

static flt_err measure(table *t, size_t recipe, size_t m, size_t r, size_t seed) {
    const flt_recipe *x = &flt_recipes[recipe];
    const flt_attention_kind *kind = NULL;
    flt_attention *plan = NULL;
    char options[MAX_OPTIONS];
    plan_options(x, m, options);
    flt_problem p = *t->problem;
    p.options = options, p.m = x->size == NULL ? m : 0, p.r = r;
    flt_err err = flt_attention_find(x->mechanism, &kind);
    const double before = flt_held_bytes();
    if (err == FLTE_OK) err = flt_problem_plan(&p, kind, t->c->threads, 0, NULL, &plan);
    if (err != FLTE_OK) return leave_out(t, recipe, err);
    flt_fidelity_row *row = row_of(t, recipe, m, r);
    if (row == NULL) err = flt_fail(FLTE_USAGE, "fidelity", "more than %d cells in a group; give fewer sizes", MAX_ROWS);
    if (err == FLTE_OK) {
        const double held = flt_held_bytes() - before;
        row->bytes = isnan(held) ? (double)flt_attention_workspace(plan) : held;
        err = run_plan(t, x, row, seed, plan);
        t->ended[recipe] = t->ended[recipe] || row->seconds > SLOWEST * t->group.seconds_exact;
    }
    flt_attention_destroy(plan);
    return err;
}

// ---- one seed of a group

static bool wanted(const table *t, const char *mechanism) {
    for (size_t i = 0; i < t->c->n_mechanisms; i++)
        if (strcmp(t->c->mechanisms[i], mechanism) == 0) return true;
    return t->c->n_mechanisms == 0;
}

static flt_err measure_recipe(table *t, size_t recipe, size_t seed) {
    static const size_t none[] = {0}, one[] = {32};
    const flt_recipe *x = &flt_recipes[recipe];
    // with m, r stays at one value unless asked for otherwise: the grid would have as many cells as their product
    const bool both = x->has_m && x->has_r && t->c->n_r == 0;
    const size_t n_m = x->has_m ? t->grid.n_m : 1, n_r = !x->has_r || both ? 1 : t->grid.n_r;
    const size_t *m = x->has_m ? t->grid.m : none, *r = !x->has_r ? none : both ? one : t->grid.r;
    for (size_t i = 0; i < n_m * n_r; i++) {
        if (t->ended[recipe]) return FLTE_OK;
        if (flt_sink_stopped(t->sink)) return flt_fail(FLTE_INTERRUPTED, "fidelity", "stopped on request");
        FLTX_TRY(measure(t, recipe, m[i / n_r], r[i % n_r], seed));
    }
    return FLTE_OK;
}

static flt_err time_exact(table *t) {
    const flt_attention_kind *exact = NULL;
    flt_attention *plan = NULL;
    FLTX_TRY(flt_attention_find("exact", &exact));
    FLTX_TRY(flt_problem_plan(t->problem, exact, t->c->threads, 0, NULL, &plan));
    t->group.seconds_exact = fmin(t->group.seconds_exact, time_forward(t, t->problem, plan));
    t->group.bytes_exact = (double)flt_attention_workspace(plan);
    flt_attention_destroy(plan);
    return FLTE_OK;
}

static void fold(const table *t) {
    const flt_problem *p = t->problem;
    const flt_real shrink = (flt_real)pow((double)p->d, -0.25);
    for (size_t i = 0; i < p->N * p->d; i++) {
        t->folded[0][i] = shrink * p->q[i];
        t->folded[1][i] = shrink * p->k[i];
    }
}

static flt_err run_seed(table *t, size_t seed) {
    const flt_problem shape = shape_of(t, seed, NULL, 0, 0);
    char status[128];
    FLTX_TRY(flt_problem_create(&shape, &t->problem));
    flt_err err = flt_exact_double(t->problem, t->lags, t->want);
    if (err == FLTE_OK) err = time_exact(t);
    fold(t);
    for (size_t i = 0; i < flt_n_recipes && err == FLTE_OK; i++) {
        if (!wanted(t, flt_recipes[i].mechanism)) continue;
        snprintf(status, sizeof status, "%s N=%zu sd=%g: %s %s", t->group.encoding, t->group.n, t->group.scale,
                 flt_recipes[i].mechanism, flt_recipes[i].options);
        const double part = ((double)seed + (double)i / (double)flt_n_recipes) / (double)t->grid.seeds;
        flt_sink_progress(t->sink, ((double)t->done + part) / (double)t->all, status);
        err = measure_recipe(t, i, seed);
    }
    flt_problem_destroy(t->problem);
    t->problem = NULL;
    return err;
}

// ---- groups

static flt_err run_group(table *t, const char *encoding, size_t n, double scale, flt_fidelity_fn hand, void *user) {
    flt_encoding_case *e = NULL;
    flt_err err = flt_encoding_case_create(encoding, n, &e);
    t->group = (flt_fidelity_group){
        .encoding = encoding, .n = n, .d = t->grid.width, .scale = scale, .seconds_exact = INFINITY, .rows = t->rows};
    t->encoding = e;
    memset(t->ended, 0, sizeof t->ended);
    if (err == FLTE_OK) err = flt_alloc(2 * n - 1, sizeof *t->lags, &t->lags);
    if (err == FLTE_OK) err = flt_alloc(n, t->grid.width * sizeof *t->want, &t->want);
    for (size_t i = 0; i < 2 && err == FLTE_OK; i++) err = flt_alloc(n, t->grid.width * sizeof(flt_real), &t->folded[i]);
    if (err == FLTE_OK) flt_encoding_case_lags(e, n, t->lags);
    for (size_t s = 0; s < t->grid.seeds && err == FLTE_OK; s++) err = run_seed(t, s);
    if (err == FLTE_OK) {
        flt_fidelity_judge(&t->group, t->rows, t->ratios);
        if (hand != NULL) err = hand(user, &t->group);
    }
    for (size_t i = 0; i < 2; i++) flt_free(t->folded[i]), t->folded[i] = NULL;
    flt_free(t->want), t->want = NULL;
    flt_free(t->lags), t->lags = NULL;
    flt_encoding_case_destroy(e);
    return err;
}

static flt_err check_names(const flt_fidelity_config *c) {
    const flt_attention_kind *kind = NULL;
    const flt_rpe_kind *rpe = NULL;
    for (size_t i = 0; i < c->n_encodings; i++) FLTX_TRY(flt_rpe_find(c->encodings[i], &rpe));
    for (size_t i = 0; i < c->n_mechanisms; i++) {
        size_t k = 0;
        FLTX_TRY(flt_attention_find(c->mechanisms[i], &kind));
        while (k < flt_n_recipes && strcmp(flt_recipes[k].mechanism, c->mechanisms[i]) != 0) k++;
        if (k == flt_n_recipes)
            return flt_fail(
                FLTE_USAGE, "fidelity",
                "%s does not stand in for softmax attention of q, k, v; these do: flt, taylor, performer, linear, nprf, "
                "spe_sine, spe_conv, fourier",
                c->mechanisms[i]);
    }
    return FLTE_OK;
}

flt_err flt_fidelity_run(const flt_fidelity_config *c, const flt_sink *sink, flt_fidelity_fn group, void *user) {
    FLTX_GIVEN(c);
    table *t = NULL;
    FLTX_TRY(check_names(c));
    FLTX_TRY(flt_alloc(1, sizeof *t, &t));
    const grid g = t->grid = grid_of(c);
    t->c = c, t->sink = sink, t->all = g.n_n * g.n_scales * g.n_encodings;
    flt_err err = FLTE_OK;
    for (size_t a = 0; a < g.n_n && err == FLTE_OK; a++)
        for (size_t b = 0; b < g.n_scales && err == FLTE_OK; b++)
            for (size_t e = 0; e < g.n_encodings && err == FLTE_OK; e++, t->done++)
                err = run_group(t, g.encodings[e], g.n[a], g.scales[b], group, user);
    flt_free(t);
    return err;
}
