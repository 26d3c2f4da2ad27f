// SPDX-License-Identifier: MIT
// Leaderboards: optimizers by a field of evaluations, mechanisms by a field of the ladder; one line per setting, the best first.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "stats.h"

enum { MOST = 1024, KEYS = 9, CELL = 32 };

typedef struct entry {
    char *key[KEYS]; // NULL: not given
    size_t n, size, not_finite;
    double *x, seeds;
    flt_interval iqm;
} entry;

typedef struct board {
    size_t n, keys;
    size_t lead;  // so many keys stand before the numbers
    bool by_task; // the first key groups
    const char *metric;
    flt_task_is_error_fn is_error;
    flt_err err;
    entry entries[MOST];
} board;

static bool same_key(const board *b, const entry *e, const char *const *values) {
    for (size_t i = 0; i < b->keys; i++)
        if (strcmp(e->key[i] == NULL ? "" : e->key[i], values[i] == NULL ? "" : values[i]) != 0) return false;
    return true;
}

static flt_err start(board *b, const char *const *values) {
    if (b->n == MOST) return flt_fail(FLTE_DB, "best", "more than %d settings; narrow it with --task", MOST);
    entry *e = &b->entries[b->n++];
    for (size_t i = 0; i < b->keys; i++)
        if (values[i] != NULL) FLTX_TRY(flt_strdup(values[i], &e->key[i]));
    return FLTE_OK;
}

static flt_err push(entry *e, double x) {
    if (e->n == e->size) {
        double *grown = NULL;
        const size_t size = e->size == 0 ? 8 : 2 * e->size;
        FLTX_TRY(flt_alloc(size, sizeof *grown, &grown));
        if (e->n > 0) memcpy(grown, e->x, e->n * sizeof *grown);
        flt_free(e->x);
        e->x = grown;
        e->size = size;
    }
    e->x[e->n++] = x;
    return FLTE_OK;
}

// Rows come ordered by their keys; after these the seeds that the row stands for, the value, and its name where it is not finite.
// What a row does not have says nothing.
static bool add(void *user, size_t n, const char *const *names, const char *const *values) {
    board *b = user;
    (void)n, (void)names;
    if (b->n == 0 || !same_key(b, &b->entries[b->n - 1], values)) b->err = start(b, values);
    if (b->err != FLTE_OK) return false;
    entry *e = &b->entries[b->n - 1];
    if (values[b->keys + 1] == NULL && values[b->keys + 2] == NULL) return true;
    e->seeds += values[b->keys] == NULL ? 1 : strtod(values[b->keys], NULL);
    if (values[b->keys + 1] == NULL)
        e->not_finite++;
    else
        b->err = push(e, strtod(values[b->keys + 1], NULL));
    return b->err == FLTE_OK;
}

static bool more_is_better(const board *b, const entry *e) {
    if (strncmp(b->metric, "speedup", strlen("speedup")) == 0) return true;
    if (strstr(b->metric, "_metric") == NULL) return false;
    return b->is_error == NULL || e->key[0] == NULL || !b->is_error(e->key[0]);
}

static int compare_rank(const entry *a, const entry *b, bool larger) {
    const double p = a->iqm.estimate, q = b->iqm.estimate;
    if (isnan(p) || isnan(q)) return isnan(p) - isnan(q);
    return larger ? (p < q) - (p > q) : (p > q) - (p < q);
}

static int by_rank(const void *x, const void *y) {
    return compare_rank(x, y, false);
}

static int by_rank_down(const void *x, const void *y) {
    return compare_rank(x, y, true);
}

static const char *task_of(const entry *e) {
    return e->key[0] == NULL ? "" : e->key[0];
}

// Entries come in the order of their keys, so that those of one task stand together.
static void sort(board *b) {
    for (size_t i = 0, j; i < b->n; i = j) {
        for (j = i + 1; j < b->n && (!b->by_task || strcmp(task_of(&b->entries[i]), task_of(&b->entries[j])) == 0);) j++;
        qsort(b->entries + i, j - i, sizeof *b->entries, more_is_better(b, &b->entries[i]) ? by_rank_down : by_rank);
    }
}

static const char *cell(char *out, double x) {
    if (!isfinite(x)) return NULL;
    snprintf(out, CELL, "%.6g", x);
    return out;
}

static bool emit(const board *b, const entry *e, const char *const *keys, flt_row_fn row, void *user) {
    char text[6][CELL];
    const char *names[KEYS + 6], *values[KEYS + 6];
    size_t k = 0;
    for (size_t i = 0; i < b->lead; i++) names[k] = keys[i], values[k++] = e->key[i];
    names[k] = "iqm", values[k++] = cell(text[1], e->iqm.estimate);
    names[k] = "low_95", values[k++] = cell(text[2], e->iqm.low);
    names[k] = "high_95", values[k++] = cell(text[3], e->iqm.high);
    names[k] = "seeds", values[k++] = cell(text[0], e->seeds);
    names[k] = "not_finite", values[k++] = cell(text[4], (double)e->not_finite);
    for (size_t i = b->lead; i < b->keys; i++) names[k] = keys[i], values[k++] = e->key[i];
    return row == NULL || row(user, k, names, values);
}

// Seeds that are not finite are the worst of all: a mean that would have one of them in it is infinite, and not shown.
static flt_err judge(const board *b, entry *e) {
    for (size_t k = 0; k < e->not_finite; k++) FLTX_TRY(push(e, more_is_better(b, e) ? -INFINITY : INFINITY));
    return flt_stat_bootstrap(flt_stat_iqm, e->n, e->x, 0.95, &e->iqm);
}

static flt_err finish(board *b, const char *const *keys, flt_row_fn row, void *user) {
    for (size_t i = 0; i < b->n; i++) FLTX_TRY(judge(b, &b->entries[i]));
    sort(b);
    for (size_t i = 0; i < b->n; i++) {
        if (b->entries[i].seeds == 0) continue; // none has the number
        if (!emit(b, &b->entries[i], keys, row, user)) break;
    }
    return FLTE_OK;
}

static void destroy(board *b) {
    for (size_t i = 0; b != NULL && i < b->n; i++) {
        for (size_t k = 0; k < KEYS; k++) flt_free(b->entries[i].key[k]);
        flt_free(b->entries[i].x);
    }
    flt_free(b);
}

// ---- the questions
static const char *const optimizer_keys[] = {"task", "optimizer", "steps", "lr", "weights", "options", "precision", "code"};
static const char *const mechanism_keys[] = {"mechanism", "encoding", "n", "m", "r", "causal", "options", "precision", "code"};
enum { N_OPTIMIZER_KEYS = 8, N_MECHANISM_KEYS = 9 };

static bool has_number(const flt_record_kind *k, const char *name) {
    for (size_t i = 0; i < k->n_columns; i++)
        if (strcmp(k->columns[i].name, name) == 0) return k->columns[i].type != FLTX_COL_TEXT;
    return false;
}

// The cost of a step is measured once per run and stands in the rows of all its seeds.
static bool is_of_run(const char *metric) {
    return strcmp(metric, "ns_per_param") == 0 || strcmp(metric, "state_words") == 0;
}

// The latest value of each seed, as in the view `leaderboard`; numbers of different code are not pooled.
static void compile(flt_query *q, bool ladder, const char *task, const char *metric) {
    const char *keys = ladder ? "mechanism, encoding, n, m, r, causal, options, precision, code"
                              : "task, optimizer, steps, lr, weights, options, precision, code";
    flt_query_add(q, "SELECT ");
    flt_query_add(q, keys);
    flt_query_add(q, ladder ? ", NULL, " : ", seeds, ");
    flt_query_identifier(q, metric);
    flt_query_add(q, ", special ->> ");
    flt_query_bind_text(q, metric);
    flt_query_add(q, " FROM (SELECT *, row_number() OVER (PARTITION BY ");
    flt_query_add(q, keys);
    flt_query_add(q, ", seed ORDER BY run_id DESC, seq DESC) AS age, max(seed IS NOT NULL) OVER (PARTITION BY ");
    flt_query_add(q, keys);
    flt_query_add(q, ") AS seeded FROM (SELECT v.*, e.precision, "
                     "substr(r.registry_hash, 1, 8) AS code FROM ");
    flt_query_add(q, ladder ? "ladder" : "evaluation_by_seed");
    flt_query_add(q, " v JOIN run r USING(run_id) JOIN env e USING(env_id)");
    if (task != NULL) {
        flt_query_add(q, " WHERE task = ");
        flt_query_bind_text(q, task);
        flt_query_add(q, " OR substr(task, 1, instr(task, ':') - 1) = ");
        flt_query_bind_text(q, task);
    }
    if (is_of_run(metric)) flt_query_add(q, " GROUP BY run_id, task, optimizer, options, weights, steps, lr");
    flt_query_add(q, ")) WHERE age = 1 AND (seed IS NOT NULL) = seeded ORDER BY ");
    flt_query_add(q, keys);
}

flt_err flt_store_best(flt_store *s, const char *task, const char *metric, flt_task_is_error_fn is_error, flt_row_fn row,
                       void *user) {
    FLTX_GIVEN(s);
    board *b = NULL;
    flt_query *q = NULL;
    const char *name = metric == NULL ? "final_loss" : metric;
    FLTX_TRY(flt_store_check(s, "best", false));
    if (s->kinds[FLTX_REC_CHECK].table == NULL) FLTX_TRY(flt_records_load(s->db, s->path, s->kinds));
    const bool evaluation = has_number(&s->kinds[FLTX_REC_EVALUATION], name);
    const bool ladder = (task == NULL && has_number(&s->kinds[FLTX_REC_LADDER], name) && strncmp(name, "error", 5) == 0) ||
                        (!evaluation && has_number(&s->kinds[FLTX_REC_LADDER], name));
    if (!evaluation && !ladder)
        return flt_fail(FLTE_NAME, "best",
                        "--metric '%s' is unknown; for example final_loss, test_loss, test_metric, "
                        "steps_to_baseline, ns_per_param of optimizers; error_total, seconds of mechanisms",
                        name);
    if (ladder && task != NULL) return flt_fail(FLTE_USAGE, "best", "'%s' is of attention mechanisms, which have no task", name);
    flt_err err = flt_alloc(1, sizeof *b, &b);
    if (err == FLTE_OK) err = flt_alloc(1, sizeof *q, &q);
    if (err == FLTE_OK) {
        compile(q, ladder, task, name);
        b->keys = ladder ? N_MECHANISM_KEYS : N_OPTIMIZER_KEYS;
        b->lead = ladder ? 6 : 2;
        b->by_task = !ladder;
        b->metric = name;
        b->is_error = is_error;
        err = flt_query_run(s, q, add, b);
    }
    if (err == FLTE_OK) err = b->err;
    if (err == FLTE_OK && task != NULL && b->n == 0)
        err = flt_fail(FLTE_NAME, "best",
                       "--task '%s': no evaluation of it is stored; `flt results sql \"SELECT DISTINCT task FROM evaluation\"` "
                       "lists those that are",
                       task);
    if (err == FLTE_OK) err = finish(b, ladder ? mechanism_keys : optimizer_keys, row, user);
    if (q != NULL) flt_free(q->sql.data);
    flt_free(q);
    destroy(b);
    return err;
}
