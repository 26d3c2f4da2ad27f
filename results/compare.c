// SPDX-License-Identifier: MIT
// Comparing groups of runs: what differs in their parameters, their metrics with intervals, their timings with a verdict.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "stats.h"

enum { MOST = 4096, CELL = 32, SCALES = 3 };

// "1,2,last" as a JSON array; each run must be there, once.
static flt_err group_json(flt_store *s, const char *group, char **out) {
    flt_text t = {0};
    char *runs = NULL;
    const flt_err err = flt_store_group_of(s, "compare", group, &runs);
    if (err == FLTE_OK) flt_text_print(&t, "[%s]", runs);
    flt_free(runs);
    *out = t.data;
    return err == FLTE_OK ? t.err : err;
}

// Rows of what, label, side (0 or 1) and value, ordered by what and label.
static const char differences_sql[] =
    "WITH side(x, run) AS (SELECT 0, value FROM json_each(?1) UNION ALL SELECT 1, value FROM json_each(?2)), "
    "facts(run, name, value) AS (SELECT run_id, name, value FROM param UNION ALL SELECT r.run_id, j.key, j.value FROM run r JOIN "
    "env e "
    "USING(env_id), json_each(json_object('kind', r.kind, 'seed', " SEED ", 'threads', r.threads, 'commit', " CODE
    ", 'registry_hash', r.registry_hash, 'precision', e.precision, 'isa', e.isa, 'blas', e.blas, 'host', e.host, 'cpu_model', "
    "e.cpu_model, 'compiler', e.compiler, 'compile_flags', e.compile_flags)) j), "
    "pooled AS (SELECT name, x, group_concat(value, ', ') AS value FROM (SELECT DISTINCT name, x, value FROM side JOIN facts "
    "USING(run) ORDER BY name, x, value) GROUP BY name, x), "
    "both AS (SELECT name, max(CASE x WHEN 0 THEN value END) AS a, max(CASE x WHEN 1 THEN value END) AS b FROM pooled GROUP BY "
    "name) "
    "SELECT name, a, b FROM both WHERE a IS NOT b ORDER BY name";

#define BY_SEED(field)                                                                                                           \
    "SELECT run_id, '" field "', optimizer || ' on ' || task || ', ' || steps || ' steps', coalesce(" field                      \
    ", special ->> '" field "') FROM evaluation_by_seed UNION ALL "

// A number that is not finite comes by its name.
static const char metrics_sql[] =
    "WITH side(x, run) AS (SELECT 0, value FROM json_each(?1) UNION ALL SELECT 1, value FROM json_each(?2)), "
    "v(run_id, what, label, value) AS (" BY_SEED("final_loss") BY_SEED("test_loss") BY_SEED(
        "test_metric") "SELECT run_id, 'error_total', mechanism || ' ' || coalesce(encoding, '') || ' n=' || n || ' m=' || m || "
                       "' r=' || coalesce(r, '') || iif(causal, ' causal', ''), coalesce(error_total, special ->> 'error_total') "
                       "FROM ladder UNION ALL "
                       "SELECT run_id, 'worst ratio', mechanism || ' ' || check_name, max(ratio) FROM check_result GROUP BY "
                       "run_id, mechanism, check_name UNION ALL "
                       "SELECT x.run_id, n.name, trim(n.subject || ' ' || n.task), coalesce(x.last_value, x.last_special) FROM "
                       "series x JOIN metric_name n USING(metric_id) WHERE " SEEDS_BEFORE_MEANS ") "
                       "SELECT what, label, x, value FROM side JOIN v ON v.run_id = side.run WHERE value IS NOT NULL ORDER BY "
                       "what, label, x";

// The probe right before a sample: among the few rows before it.
#define PROBE(of)                                                                                                                \
    "(SELECT p.seconds FROM timing p WHERE p.run_id = t.run_id AND p.seq BETWEEN t.seq - 3 AND t.seq - 1 AND p.rep = t.rep AND " \
    "p.phase = 'probe' AND p.subject = '" of "' AND t.phase <> 'probe' ORDER BY p.seq DESC LIMIT 1)"

static const char timings_sql[] =
    "WITH side(x, run) AS (SELECT 0, value FROM json_each(?1) UNION ALL SELECT 1, value FROM json_each(?2)), "
    "v(run_id, what, label, value, gemm, memory) AS ("
    "SELECT run_id, subject || ' ' || coalesce(phase, ''), trim(coalesce(label || ' ', '') || coalesce(options || ' ', '') || "
    "coalesce('n=' || n || ' ', '') || coalesce('m=' || m || ' ', '') || coalesce('r=' || r || ' ', '') || coalesce('threads=' "
    "|| "
    "threads, '')), seconds, " PROBE("gemm") ", " PROBE(
        "memory") " FROM timing t WHERE coalesce(warm, 0) = 0 UNION ALL "
                  "SELECT run_id, mechanism || ' attention', 'n=' || n || ' m=' || m || coalesce(' r=' || r, '') || iif(causal, "
                  "' causal', "
                  "''), "
                  "seconds, NULL, NULL FROM ladder UNION ALL "
                  "SELECT DISTINCT run_id, optimizer || ' step', task, ns_per_param * 1e-9, NULL, NULL FROM evaluation) "
                  "SELECT what, label, x, value, gemm, memory FROM side JOIN v ON v.run_id = side.run WHERE value > 0 ORDER BY "
                  "what, label, x";

// ---- samples of one what and label, until the next begins
typedef struct pool {
    flt_store *s;
    flt_row_fn row;
    void *user;
    bool timings, more;
    bool probed; // each sample has its probes
    flt_err err;
    char what[128], label[256];
    size_t n[2], lost[2];      // lost: not finite
    double x[SCALES][2][MOST]; // samples: as they are, against the probe of matrix products, against that of memory
} pool;

static const char *cell(char *out, double x) {
    if (!isfinite(x)) return NULL;
    snprintf(out, CELL, "%.6g", x);
    return out;
}

// A benchmark runs two probes, of matrix products and of memory, right before each sample. A change counts only where the sample
// changed against these as well: else the machine did.
static flt_err verdict_of(const pool *p, const flt_interval *change, double p_value, const char **verdict) {
    *verdict = flt_stat_verdict(p->n[0], p->n[1], change, p_value);
    const bool changed = strcmp(*verdict, "slower") == 0 || strcmp(*verdict, "faster") == 0;
    for (size_t k = 1; changed && p->probed && k < SCALES; k++) {
        flt_interval against;
        double p_against = NAN;
        FLTX_TRY(flt_stat_ratio(p->n[0], p->x[k][0], p->n[1], p->x[k][1], 0.99, &against));
        FLTX_TRY(flt_stat_mann_whitney(p->n[0], p->x[k][0], p->n[1], p->x[k][1], &p_against));
        if (strcmp(flt_stat_verdict(p->n[0], p->n[1], &against, p_against), *verdict) != 0) *verdict = "machine";
    }
    return FLTE_OK;
}

// Metrics have no verdict, but samples that are not finite: a seed that diverged is in no mean, and must not go unseen.
static void put_lost(const pool *p, char (*text)[CELL], const char **values) {
    memmove(values + 2, values + 3, 6 * sizeof *values);
    memmove(values + 10, values + 9, 2 * sizeof *values);
    for (size_t k = 0; k < 2; k++) values[8 + k] = p->lost[k] == 0 ? NULL : cell(text[k], (double)p->lost[k]);
}

static flt_err emit(pool *p) {
    static const char *const metric_names[] = {"metric", "of",     "difference",   "low_95",       "high_95", "p",
                                               "mean_a", "mean_b", "not_finite_a", "not_finite_b", "n_a",     "n_b"};
    static const char *const timing_names[] = {"timing", "of",       "verdict",  "ratio", "low_99", "high_99",
                                               "p",      "median_a", "median_b", "n_a",   "n_b"};
    char text[10][CELL];
    flt_interval a, b, change;
    double p_value = NAN;
    const char *verdict = NULL;
    double (*const middle)(size_t, const double *) = p->timings ? flt_stat_median : flt_stat_mean;
    if (p->n[0] + p->n[1] == 0 || p->n[0] + p->lost[0] == 0 || p->n[1] + p->lost[1] == 0) return FLTE_OK;
    FLTX_TRY(flt_stat_bootstrap(middle, p->n[0], p->x[0][0], 0.95, &a));
    FLTX_TRY(flt_stat_bootstrap(middle, p->n[1], p->x[0][1], 0.95, &b));
    FLTX_TRY((p->timings ? flt_stat_ratio : flt_stat_difference)(p->n[0], p->x[0][0], p->n[1], p->x[0][1],
                                                                 p->timings ? 0.99 : 0.95, &change));
    if (p->n[0] > 1 && p->n[1] > 1) FLTX_TRY(flt_stat_mann_whitney(p->n[0], p->x[0][0], p->n[1], p->x[0][1], &p_value));
    if (p->timings) FLTX_TRY(verdict_of(p, &change, p_value, &verdict));
    const char *values[12] = {p->what,
                              p->label,
                              verdict, // of timings alone
                              cell(text[0], change.estimate),
                              cell(text[1], change.low),
                              cell(text[2], change.high),
                              cell(text[3], p_value),
                              cell(text[4], a.estimate),
                              cell(text[5], b.estimate),
                              cell(text[6], (double)p->n[0]),
                              cell(text[7], (double)p->n[1])};
    if (!p->timings) put_lost(p, text + 8, values);
    p->more = p->row == NULL || p->row(p->user, p->timings ? 11 : 12, p->timings ? timing_names : metric_names, values);
    return FLTE_OK;
}

static bool add(void *user, size_t n, const char *const *names, const char *const *values) {
    pool *p = user;
    const char *what = values[0] == NULL ? "" : values[0], *label = values[1] == NULL ? "" : values[1];
    (void)n, (void)names;
    if (strcmp(p->what, what) != 0 || strcmp(p->label, label) != 0) {
        p->err = emit(p);
        p->n[0] = p->n[1] = p->lost[0] = p->lost[1] = 0;
        p->probed = p->timings;
        snprintf(p->what, sizeof p->what, "%s", what);
        snprintf(p->label, sizeof p->label, "%s", label);
    }
    const int side = values[2][0] == '1';
    const double x = strtod(values[3], NULL);
    p->lost[side] += !isfinite(x);
    if (!isfinite(x) || p->n[side] == MOST) return p->err == FLTE_OK && p->more;
    p->x[0][side][p->n[side]] = x;
    for (size_t k = 1; p->timings && k < SCALES; k++) {
        const double probe = values[3 + k] == NULL ? 0 : strtod(values[3 + k], NULL);
        p->probed = p->probed && probe > 0;
        p->x[k][side][p->n[side]] = x / probe;
    }
    p->n[side]++;
    return p->err == FLTE_OK && p->more;
}

static flt_err pooled(flt_store *s, bool timings, flt_query *q, flt_row_fn row, void *user) {
    pool *p = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    *p = (pool){.s = s, .row = row, .user = user, .timings = timings, .more = true, .probed = true};
    flt_err err = flt_query_run(s, q, add, p);
    if (err == FLTE_OK) err = p->err;
    if (err == FLTE_OK && p->more) err = emit(p);
    flt_free(p);
    return err;
}

flt_err flt_store_compare(flt_store *s, const char *a, const char *b, const char *part, flt_row_fn row, void *user) {
    FLTX_GIVEN(s, a, b, part);
    static const char *const parts[] = {"differences", "metrics", "timings"};
    static const char *const sql[] = {differences_sql, metrics_sql, timings_sql};
    char *sides[2] = {NULL, NULL};
    flt_query *q = NULL;
    size_t i = 0;
    FLTX_TRY(flt_store_check(s, "compare", false));
    while (i < 3 && strcmp(parts[i], part) != 0) i++;
    if (i == 3) return flt_fail(FLTE_NAME, "compare", "there is no part '%s'; there are differences, metrics, timings", part);
    flt_err err = flt_alloc(1, sizeof *q, &q);
    if (err == FLTE_OK) err = group_json(s, a, &sides[0]);
    if (err == FLTE_OK) err = group_json(s, b, &sides[1]);
    if (err == FLTE_OK) {
        flt_query_add(q, sql[i]);
        for (size_t k = 0; k < 2; k++) q->binds[q->n_binds++] = (flt_bind){.is_text = true, .text = sides[k]}; // ?1, ?2
        err = i == 0 ? flt_query_run(s, q, row, user) : pooled(s, i == 2, q, row, user);
    }
    flt_free(sides[0]);
    flt_free(sides[1]);
    if (q != NULL) flt_free(q->sql.data);
    flt_free(q);
    return err;
}
