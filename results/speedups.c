// SPDX-License-Identifier: MIT
// Optimizers over the tasks of a set: the inter-quartile mean of the speed-up over tasks x seeds (Agarwal et al., NeurIPS 2021),
// with an interval from a bootstrap that is stratified: seeds are drawn anew within each task, the tasks stay. A run that never
// reached the baseline's loss is in it with its speed below 1, one that diverged with 0 (optimizers/include/flt/evaluate.h).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "stats.h"

enum { KEYS = 6, MEASURES = 3, MOST = 1024, CELL = 32, SHOWN = 19 };
typedef enum measure { SPEEDUP, BEST, RATIO } measure;

typedef struct sample {
    size_t n, size, *group; // group: the task of each value, 0, 1, ..
    double *x;
} sample;

typedef struct entry {
    char *key[KEYS]; // set, optimizer, weights, options, precision, code; NULL: not given
    char *task;      // the last one
    size_t tasks, runs, reached, diverged;
    sample of[MEASURES];
    flt_interval iqm[MEASURES];
} entry;

typedef struct board {
    size_t n;
    measure by; // the order
    flt_err err;
    entry entries[MOST];
} board;

static flt_err push(sample *s, double x, size_t group) {
    if (s->n == s->size) {
        sample grown = {.n = s->n, .size = s->size == 0 ? 32 : 2 * s->size};
        FLTX_TRY(flt_alloc(grown.size, sizeof *grown.x, &grown.x));
        const flt_err err = flt_alloc(grown.size, sizeof *grown.group, &grown.group);
        if (err != FLTE_OK) flt_free(grown.x);
        FLTX_TRY(err);
        if (s->n > 0) memcpy(grown.x, s->x, s->n * sizeof *s->x);
        if (s->n > 0) memcpy(grown.group, s->group, s->n * sizeof *s->group);
        flt_free(s->x);
        flt_free(s->group);
        *s = grown;
    }
    s->x[s->n] = x;
    s->group[s->n++] = group;
    return FLTE_OK;
}

static bool equal(const char *a, const char *b) {
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool same_key(const entry *e, const char *const *values) {
    for (size_t i = 0; i < KEYS; i++)
        if (!equal(e->key[i], values[i])) return false;
    return true;
}

static flt_err start(board *b, const char *const *values) {
    if (b->n == MOST) return flt_fail(FLTE_DB, "best", "more than %d optimizers on sets; name one set", MOST);
    entry *e = &b->entries[b->n++];
    for (size_t i = 0; i < KEYS; i++)
        if (values[i] != NULL) FLTX_TRY(flt_strdup(values[i], &e->key[i]));
    return FLTE_OK;
}

static flt_err next_task(entry *e, const char *task) {
    if (e->tasks > 0 && equal(e->task, task)) return FLTE_OK;
    flt_free(e->task);
    e->task = NULL;
    e->tasks++;
    return flt_strdup(task, &e->task);
}

// The keys, the task with its steps, whether the baseline's loss was reached, whether it diverged, the measures.
static flt_err add(board *b, const char *const *values) {
    if (b->n == 0 || !same_key(&b->entries[b->n - 1], values)) FLTX_TRY(start(b, values));
    entry *e = &b->entries[b->n - 1];
    FLTX_TRY(next_task(e, values[KEYS]));
    e->runs++;
    e->reached += strcmp(values[KEYS + 1], "1") == 0;
    e->diverged += strcmp(values[KEYS + 2], "1") == 0;
    for (size_t m = 0; m < MEASURES; m++)
        if (values[KEYS + 3 + m] != NULL) FLTX_TRY(push(&e->of[m], strtod(values[KEYS + 3 + m], NULL), e->tasks));
    return FLTE_OK;
}

static bool add_row(void *user, size_t n, const char *const *names, const char *const *values) {
    board *b = user;
    (void)n, (void)names;
    b->err = add(b, values);
    return b->err == FLTE_OK;
}

// ---- out
static int by_rank(const entry *a, const entry *b, measure by) {
    const double p = a->iqm[by].estimate, q = b->iqm[by].estimate;
    if (!equal(a->key[0], b->key[0])) return 0; // sets stand together already
    if (isnan(p) || isnan(q)) return isnan(p) - isnan(q);
    return by == RATIO ? (p > q) - (p < q) : (p < q) - (p > q);
}

// Insertion: few entries, and those of equal rank keep their order.
static void sort(board *b) {
    for (size_t i = 1; i < b->n; i++)
        for (size_t j = i; j > 0 && by_rank(&b->entries[j - 1], &b->entries[j], b->by) > 0; j--) {
            const entry e = b->entries[j];
            b->entries[j] = b->entries[j - 1];
            b->entries[j - 1] = e;
        }
}

static double share_from(const sample *s, double least) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += s->x[i] >= least;
    return s->n == 0 ? NAN : (double)n / (double)s->n;
}

typedef struct cells {
    size_t n;
    const char *names[SHOWN], *values[SHOWN];
    char text[SHOWN][CELL];
} cells;

static void put_text(cells *c, const char *name, const char *value) {
    c->names[c->n] = name;
    c->values[c->n++] = value;
}

static void put(cells *c, const char *name, double x) {
    snprintf(c->text[c->n], CELL, "%.4g", x);
    put_text(c, name, isfinite(x) ? c->text[c->n] : NULL);
}

static bool emit(const entry *e, flt_row_fn row, void *user) {
    cells c = {0};
    put_text(&c, "tasks", e->key[0]);
    put_text(&c, "optimizer", e->key[1]);
    put(&c, "speedup", e->iqm[SPEEDUP].estimate);
    put(&c, "low_95", e->iqm[SPEEDUP].low);
    put(&c, "high_95", e->iqm[SPEEDUP].high);
    put(&c, "reached", (double)e->reached / (double)e->runs);
    put(&c, "1.5x", share_from(&e->of[SPEEDUP], 1.5));
    put(&c, "2x", share_from(&e->of[SPEEDUP], 2));
    put(&c, "diverged", (double)e->diverged / (double)e->runs);
    put(&c, "loss_ratio", e->iqm[RATIO].estimate);
    put(&c, "vs_best", e->iqm[BEST].estimate);
    put(&c, "best_low", e->iqm[BEST].low);
    put(&c, "best_high", e->iqm[BEST].high);
    put(&c, "n_tasks", (double)e->tasks);
    put(&c, "runs", (double)e->runs);
    put_text(&c, "weights", e->key[2]);
    put_text(&c, "options", e->key[3]);
    put_text(&c, "precision", e->key[4]);
    put_text(&c, "code", e->key[5]);
    return row == NULL || row(user, c.n, c.names, c.values);
}

static flt_err finish(board *b, flt_row_fn row, void *user) {
    for (size_t i = 0; i < b->n; i++)
        for (size_t m = 0; m < MEASURES; m++) {
            entry *e = &b->entries[i];
            FLTX_TRY(flt_stat_stratified(flt_stat_iqm, e->of[m].n, e->of[m].x, e->of[m].group, 0.95, &e->iqm[m]));
        }
    sort(b);
    for (size_t i = 0; i < b->n; i++)
        if (!emit(&b->entries[i], row, user)) break;
    return FLTE_OK;
}

static void destroy(board *b) {
    for (size_t i = 0; b != NULL && i < b->n; i++) {
        entry *e = &b->entries[i];
        for (size_t k = 0; k < KEYS; k++) flt_free(e->key[k]);
        for (size_t m = 0; m < MEASURES; m++) flt_free(e->of[m].x);
        for (size_t m = 0; m < MEASURES; m++) flt_free(e->of[m].group);
        flt_free(e->task);
    }
    flt_free(b);
}

// The latest value of each seed. What was tuned differs from task to task and is one optimizer all the same. Within one run,
// several sets come together once more.
static const char sql[] =
    "WITH named AS (SELECT v.*, coalesce('@' || suite, 'tasks') AS tasks, iif(tuned = 2, NULL, options) AS own, e.precision, "
    "substr(r.registry_hash, 1, 8) AS code FROM evaluation v JOIN run r USING(run_id) JOIN env e USING(env_id) WHERE v.seed IS "
    "NOT NULL AND (speedup IS NOT NULL OR special ->> 'speedup' IS NOT NULL) AND (?1 = 0 OR run_id = ?1) AND (?2 = '' OR suite = "
    "?2)), "
    "latest AS (SELECT *, row_number() OVER (PARTITION BY tasks, optimizer, weights, own, precision, code, task, steps, seed "
    "ORDER BY run_id DESC, seq DESC) AS age FROM named), "
    "rows AS MATERIALIZED (SELECT * FROM latest WHERE age = 1), "
    "pooled AS (SELECT 0 AS last, tasks, optimizer, weights, own, precision, code, task, steps, seed, steps_to_baseline, "
    "diverged, "
    "speedup, speedup_best, loss_ratio FROM rows UNION ALL SELECT 1, 'all', optimizer, weights, own, precision, code, task, "
    "steps, "
    "seed, steps_to_baseline, diverged, speedup, speedup_best, loss_ratio FROM rows WHERE ?1 > 0 AND (SELECT count(DISTINCT "
    "tasks) "
    "FROM rows) > 1) "
    "SELECT tasks, optimizer, weights, own, precision, code, task || ' ' || steps, steps_to_baseline IS NOT NULL, "
    "coalesce(diverged, "
    "0), speedup, speedup_best, loss_ratio FROM pooled ORDER BY last, tasks, optimizer, weights, own, precision, code, task, "
    "steps, "
    "seed";

static flt_err order_of(const char *metric, measure *out) {
    static const char *const names[] = {"speedup", "speedup_best", "loss_ratio"};
    for (size_t i = 0; i < MEASURES; i++)
        if (metric == NULL || strcmp(metric, names[i]) == 0) {
            *out = (measure)i;
            return FLTE_OK;
        }
    return flt_fail(FLTE_NAME, "best", "--metric '%s': sets are ranked by speedup, speedup_best or loss_ratio", metric);
}

flt_err flt_store_speedups(flt_store *s, long long run, const char *set, const char *metric, flt_row_fn row, void *user) {
    FLTX_GIVEN(s);
    board *b = NULL;
    flt_query *q = NULL;
    measure by = SPEEDUP;
    FLTX_TRY(flt_store_check(s, "best", false));
    FLTX_TRY(order_of(metric, &by));
    flt_err err = flt_alloc(1, sizeof *b, &b);
    if (err == FLTE_OK) err = flt_alloc(1, sizeof *q, &q);
    if (err == FLTE_OK) {
        flt_query_add(q, sql);
        q->binds[0] = (flt_bind){.number = (double)run};
        q->binds[1] = (flt_bind){.is_text = true, .text = set == NULL ? "" : set};
        q->n_binds = 2;
        b->by = by;
        err = flt_query_run(s, q, add_row, b);
    }
    if (err == FLTE_OK) err = b->err;
    if (err == FLTE_OK && b->n == 0 && set != NULL && set[0] != 0)
        err = flt_fail(FLTE_NAME, "best",
                       "--task '@%s': no evaluation of this set is stored; `flt results sql \"SELECT DISTINCT suite FROM "
                       "evaluation\"` lists those that are",
                       set);
    if (err == FLTE_OK) err = finish(b, row, user);
    if (q != NULL) flt_free(q->sql.data);
    flt_free(q);
    destroy(b);
    return err;
}
