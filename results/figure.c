// SPDX-License-Identifier: MIT
// The data of figures: loss curves, error against m and r, time against N, fidelity. Drawn by others (plot, report).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

#define SETTING "mechanism || iif(coalesce(encoding, 'none') = 'none', '', ' ' || encoding) || iif(causal, ' causal', '')"
#define R_OF    "iif(coalesce(r, 0) > 0, ' r=' || r, '')"
// Rows of the error ladder, without those of the fidelity table; the greatest length and number of frequencies of each mechanism;
// the rows at that length.
#define TOP                                                                                                                      \
    "WITH rungs AS (SELECT * FROM ladder WHERE detail IS NOT 'fidelity' AND (?1 = 0 OR run_id = ?1) AND ?2 = ''), "              \
    "top AS (SELECT mechanism, encoding AS top_encoding, causal AS top_causal, max(n) AS top_n, max(coalesce(r, 0)) AS top_r "   \
    "FROM rungs GROUP BY 1, 2, 3) "
#define AT_TOP                                                                                                                   \
    "rungs JOIN top USING(mechanism) WHERE encoding IS top_encoding AND causal IS top_causal AND n = top_n AND error_total > 0"

// Losses by step: the seeds of each metric, or its mean where no seed was kept. Of a long metric a grid of steps is looked up.
static const char curves_sql[] =
    "WITH RECURSIVE grid(k) AS (VALUES(0) UNION ALL SELECT k + 1 FROM grid WHERE k < 399), "
    "wanted AS (SELECT * FROM metric_name WHERE iif(?2 = '', name LIKE '%loss%' AND name NOT LIKE '%by_rate%', name = ?2)), "
    "chosen(run) AS (SELECT iif(?1 > 0, ?1, (SELECT max(x.run_id) FROM series x JOIN wanted USING(metric_id) WHERE x.points > "
    "1))), "
    "s AS MATERIALIZED (SELECT x.run_id, x.metric_id, x.points, x.last_step AS last, (SELECT min(m.step) FROM metric m WHERE "
    "m.run_id = x.run_id AND m.metric_id = x.metric_id) AS first, trim(n.name || ' ' || n.subject || ' ' || n.task) AS label "
    "FROM chosen JOIN series x ON x.run_id = run JOIN wanted n USING(metric_id) WHERE " SEEDS_BEFORE_MEANS "), "
    "picked AS MATERIALIZED (SELECT label, run_id, metric_id, (SELECT min(q.step) FROM metric q WHERE q.run_id = s.run_id AND "
    "q.metric_id = s.metric_id AND q.step >= s.first + (s.last - s.first) * k / 399) AS step FROM s, grid WHERE points > 2000), "
    "v(label, step, value) AS (SELECT s.label, m.step, m.value FROM s CROSS JOIN metric m USING(run_id, metric_id) WHERE "
    "s.points "
    "<= 2000 UNION ALL SELECT p.label, p.step, (SELECT m.value FROM metric m WHERE m.run_id = p.run_id AND m.metric_id = "
    "p.metric_id AND m.step = p.step) FROM picked p) "
    "SELECT label, step, avg(value), min(value), max(value) FROM v WHERE value IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2";

// Dolan & More, Mathematical Programming 91 (2002): the share of problems (task, steps, seed) that an optimizer solves within x
// times the cost of the best one. Never solved counts as unsolved. Each jump is two points.
static const char profile_sql[] =
    "WITH latest AS (SELECT optimizer || coalesce(' ' || iif(tuned = 2, NULL, options), '') || coalesce(' ' || replace(weights, "
    "rtrim(weights, "
    "replace(weights, '/', '')), ''), '') AS s, json_array(task, steps, baseline, seed) AS p, CASE "
    "iif(?2 LIKE '@%', '', ?2) WHEN '' THEN steps_to_baseline WHEN 'steps_to_baseline' THEN steps_to_baseline WHEN 'final_loss' "
    "THEN final_loss WHEN "
    "'test_loss' THEN test_loss WHEN 'seconds_to_baseline' THEN seconds_to_baseline WHEN 'seconds' THEN seconds END AS t, "
    "row_number() OVER (PARTITION BY optimizer, iif(tuned = 2, NULL, options), weights, task, steps, baseline, seed ORDER BY "
    "run_id DESC, seq DESC) AS age FROM "
    "evaluation_by_seed WHERE (?1 = 0 OR run_id = ?1) AND (?2 NOT LIKE '@%' OR '@' || suite = ?2)), "
    "cases AS (SELECT s, p, iif(t > 0, t, NULL) AS t FROM latest WHERE age = 1), "
    "best AS (SELECT p, min(t) AS least FROM cases GROUP BY p HAVING count(*) > 1), "
    "ratios AS (SELECT s, t / least AS x, (SELECT count(*) FROM best) AS total FROM cases JOIN best USING(p) WHERE least > 0), "
    "solved AS (SELECT DISTINCT s, x, 1.0 * count(*) OVER (PARTITION BY s ORDER BY x) / total AS y FROM ratios WHERE x IS NOT "
    "NULL), "
    "tops AS (SELECT s, max(y) AS y FROM solved GROUP BY s), reach AS (SELECT max(1.1, 1.05 * max(x)) AS x FROM solved), "
    "corners(s, x, y) AS (SELECT s, x, y FROM solved UNION SELECT s, x, lag(y, 1, 0) OVER (PARTITION BY s ORDER BY x) FROM "
    "solved "
    "UNION SELECT DISTINCT r.s, 1, coalesce((SELECT y FROM solved f WHERE f.s = r.s AND f.x = 1), 0) FROM ratios r "
    "UNION SELECT DISTINCT r.s, reach.x, coalesce((SELECT y FROM tops f WHERE f.s = r.s), 0) FROM ratios r, reach) "
    "SELECT s, x, y, y, y FROM corners WHERE x IS NOT NULL ORDER BY s, x, y";

// The latest fidelity table: one encoding (?2, else the mixture that flt is made for, else any), the greatest length and the
// least scale of the inputs; the 16 recipes that come nearest. Without one, the rungs of the error ladder at the greatest length.
static const char fidelity_sql[] =
    "WITH f AS (SELECT *, substr(options, instr(options, 'sd=')) AS sd, rtrim(substr(options, 1, instr(options, 'sd=') - 1), "
    "',') AS recipe FROM ladder WHERE detail = 'fidelity' AND error_total > 0 AND seconds > 0 AND run_id = iif(?1 > 0, ?1, "
    "(SELECT max(run_id) FROM ladder WHERE detail = 'fidelity'))), of AS (SELECT encoding, n, sd FROM f WHERE ?2 = '' OR "
    "encoding = ?2 ORDER BY encoding <> 'gaussian_mixture', encoding, n DESC, CAST(substr(sd, 4) AS REAL) LIMIT 1), p AS (SELECT "
    "mechanism, mechanism || rtrim(' ' || recipe) || ' on ' || encoding || ' n=' || n AS label, m, r, min(seconds) AS x, "
    "avg(error_total) AS y, min(error_total) AS low, max(error_total) AS high FROM f JOIN of USING(encoding, n, sd) GROUP BY 1, "
    "2, 3, 4), nearest AS (SELECT label, row_number() OVER (PARTITION BY mechanism ORDER BY min(y)) AS place FROM p GROUP BY "
    "label), rungs AS (SELECT * FROM ladder WHERE detail IS NOT 'fidelity' AND (?1 = 0 OR run_id = ?1) AND ?2 = '' AND NOT "
    "EXISTS(SELECT 1 FROM f) AND error_total > 0 AND seconds > 0), top AS (SELECT mechanism, encoding AS top_encoding, causal AS "
    "top_causal, max(n) AS top_n FROM rungs GROUP BY 1, 2, 3), q AS (SELECT " SETTING " || ' n=' || n || " R_OF
    " AS label, min(seconds) AS x, avg(error_total) AS y FROM rungs JOIN top USING(mechanism) WHERE encoding IS top_encoding AND "
    "causal IS top_causal AND n = top_n GROUP BY mechanism, encoding, options, causal, m, r) SELECT label, x, y, low, high FROM "
    "p JOIN nearest USING(label) WHERE place < 3 UNION ALL SELECT label, x, y, y, y FROM q ORDER BY label, x";

// Rows of series, x, y, low, high, ordered by series and x. ?1 is the run (0: all), ?2 the metric ('': the usual one).
static const struct {
    const char *name, *title, *x, *y, *sql;
    bool log_x, log_y, points, slope, plain;
} kinds[] = {
    {"curves", "Loss by step; the band spans the seeds", "step", "loss", curves_sql, false, false, false, false, true},
    {"error-m", "Error against exact attention by number of features m, at the greatest length", "features m", "relative error",
     TOP "SELECT " SETTING " || ' n=' || n || " R_OF " , m, avg(error_total), min(error_total), max(error_total) FROM " AT_TOP
         " AND m > 0 GROUP BY 1, 2 ORDER BY mechanism, encoding, causal, r, m",
     true, true, false, true, false},
    {"error-r", "Error against exact attention by number of frequencies r, at the greatest length", "frequencies r",
     "relative error",
     TOP "SELECT " SETTING " || ' n=' || n || ' m=' || m, r, avg(error_total), min(error_total), max(error_total) FROM " AT_TOP
         " AND r > 0 GROUP BY 1, 2 ORDER BY mechanism, encoding, causal, m, r",
     true, true, false, true, false},
    {"time", "Time by length N, at the greatest number of frequencies", "length N", "seconds",
     TOP "SELECT 'exact' || iif(causal, ' causal', ''), n, min(seconds_exact), min(seconds_exact), max(seconds_exact), NULL AS "
         "mechanism, NULL AS encoding, causal, NULL AS m FROM rungs WHERE seconds_exact > 0 GROUP BY 1, 2 "
         "UNION ALL SELECT " SETTING " || ' m=' || m || " R_OF ", n, min(seconds), min(seconds), max(seconds), mechanism, "
         "encoding, causal, m FROM rungs JOIN top USING(mechanism) WHERE seconds > 0 AND coalesce(r, 0) = top_r AND encoding IS "
         "top_encoding AND causal IS top_causal GROUP BY 1, 2 ORDER BY mechanism, encoding, causal, m, n",
     true, true, false, true, false},
    {"bench-time", "Time by length N of the latest benchmark", "length N", "seconds",
     "WITH latest(run) AS (SELECT iif(?1 > 0, ?1, (SELECT max(run_id) FROM timing WHERE n > 0 AND m > 0))) "
     "SELECT subject || coalesce(' m=' || m, '') || coalesce(' r=' || r, '') || iif(phase = 'forward', '', coalesce(' ' || "
     "phase, "
     "'')), n, min(seconds), min(seconds), max(seconds) FROM timing JOIN latest ON run_id = run WHERE n > 0 AND seconds > 0 AND "
     "coalesce(warm, 0) = 0 AND ?2 = '' GROUP BY subject, m, r, phase, n ORDER BY subject <> 'exact', subject, m, r, phase, n",
     true, true, false, true, false},
    {"fidelity", "Fidelity: error against time over the budgets; lower left is better", "seconds", "relative error", fidelity_sql,
     true, true, false, false, false},
    {"profile", "Performance profile: share of problems solved within a factor of the best optimizer's steps",
     "factor of the least steps to the baseline's loss", "share of problems", profile_sql, true, false, false, false, true},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

typedef struct loader {
    flt_figure *f;
    flt_err err;
} loader;

static flt_err add_series(flt_figure *f, const char *name) {
    flt_figure_series *x = &f->series[f->n_series];
    FLTX_TRY(flt_alloc(FLTX_FIGURE_POINTS, sizeof *x->points, &x->points));
    f->n_series++;
    snprintf(x->name, sizeof x->name, "%s", name);
    return FLTE_OK;
}

// Beyond the room of a series each second point goes, so that long curves keep their shape.
static void thin(flt_figure_series *x) {
    for (size_t i = 0; 2 * i < x->n; i++) x->points[i] = x->points[2 * i];
    x->n = (x->n + 1) / 2;
    x->stride *= 2;
}

static bool add_point(void *user, size_t n, const char *const *names, const char *const *values) {
    loader *l = user;
    flt_figure *f = l->f;
    (void)n, (void)names;
    const char *name = values[0] == NULL ? "" : values[0];
    if (f->n_series == 0 || strncmp(f->series[f->n_series - 1].name, name, sizeof f->series->name - 1) != 0) {
        if (f->n_series == FLTX_FIGURE_SERIES) {
            f->left_out = true;
            return false;
        }
        l->err = add_series(f, name);
        if (l->err != FLTE_OK) return false;
        f->series[f->n_series - 1].stride = 1;
    }
    flt_figure_series *x = &f->series[f->n_series - 1];
    if (x->seen++ % x->stride != 0) return true;
    if (x->n == FLTX_FIGURE_POINTS) thin(x);
    x->points[x->n++] =
        (flt_figure_point){strtod(values[1], NULL), strtod(values[2], NULL), strtod(values[3], NULL), strtod(values[4], NULL)};
    return true;
}

// Least squares through the logarithms.
static double fitted_slope(const flt_figure_series *s) {
    double mx = 0, my = 0, xy = 0, xx = 0;
    for (size_t i = 0; i < s->n; i++) mx += log(s->points[i].x) / (double)s->n, my += log(s->points[i].y) / (double)s->n;
    for (size_t i = 0; i < s->n; i++) {
        xy += (log(s->points[i].x) - mx) * (log(s->points[i].y) - my);
        xx += (log(s->points[i].x) - mx) * (log(s->points[i].x) - mx);
    }
    return s->n < 2 || xx <= 0 ? NAN : xy / xx;
}

// The least measured length from which on a series is faster than exact attention; 0: none.
static double crossover(const flt_figure *f, const flt_figure_series *s) {
    static const char *const phases[] = {" causal", " token", " backward"};
    double from = 0;
    char baseline[32] = "exact";
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        if (strstr(s->name, phases[i]) != NULL) snprintf(baseline, sizeof baseline, "exact%s", phases[i]);
    for (size_t i = 0; i < f->n_series; i++) {
        const flt_figure_series *exact = &f->series[i];
        if (strcmp(exact->name, baseline) != 0) continue;
        for (size_t j = s->n; j-- > 0;)
            for (size_t k = 0; k < exact->n; k++)
                if (exact->points[k].x == s->points[j].x) {
                    if (s->points[j].y >= exact->points[k].y) return from;
                    from = s->points[j].x;
                }
    }
    return from;
}

static void annotate(flt_figure *f, bool slope) {
    for (size_t i = 0; i < f->n_series; i++) {
        flt_figure_series *s = &f->series[i];
        const double fit = slope ? fitted_slope(s) : NAN, from = strstr(f->name, "time") != NULL ? crossover(f, s) : 0;
        if (isfinite(fit)) snprintf(s->remark, sizeof s->remark, "slope %.2f", fit);
        const size_t used = strlen(s->remark);
        if (from > 0) snprintf(s->remark + used, sizeof s->remark - used, ", faster from N=%.0f", from);
    }
}

flt_err flt_figure_create(flt_store *s, const char *name, long long run, const char *metric, flt_figure **out) {
    FLTX_GIVEN(s, name, out);
    const char *names[N_KINDS + 1] = {NULL};
    size_t k = N_KINDS;
    flt_query *q = NULL;
    *out = NULL;
    FLTX_TRY(flt_store_check(s, "plot", false));
    for (size_t i = 0; i < N_KINDS; i++) {
        names[i] = kinds[i].name;
        if (strcmp(kinds[i].name, name) == 0) k = i;
    }
    if (k == N_KINDS) {
        const char *near = flt_nearest(name, names);
        return flt_fail(FLTE_NAME, "plot",
                        "figure '%s' is unknown%s%s%s; there are curves, error-m, error-r, time, bench-time, fidelity, "
                        "profile",
                        name, near == NULL ? "" : "; did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?");
    }
    if (run > 0) FLTX_TRY(flt_find_run(s, &run));
    FLTX_TRY(flt_alloc(1, sizeof **out, out));
    loader l = {.f = *out};
    **out = (flt_figure){.name = kinds[k].name,
                         .title = kinds[k].title,
                         .x = kinds[k].x,
                         .y = kinds[k].y,
                         .log_x = kinds[k].log_x,
                         .log_y = kinds[k].log_y,
                         .points = kinds[k].points,
                         .plain = kinds[k].plain};
    flt_err err = flt_alloc(1, sizeof *q, &q);
    if (err == FLTE_OK) {
        flt_query_add(q, kinds[k].sql);
        q->binds[0] = (flt_bind){.number = (double)run};
        q->binds[1] = (flt_bind){.is_text = true, .text = metric == NULL ? "" : metric};
        q->n_binds = 2;
        err = flt_query_run(s, q, add_point, &l);
    }
    if (err == FLTE_OK) err = l.err;
    if (q != NULL) flt_free(q->sql.data);
    flt_free(q);
    if (err == FLTE_OK) annotate(*out, kinds[k].slope);
    if (err == FLTE_OK) return err;
    flt_figure_destroy(*out);
    *out = NULL;
    return err;
}

void flt_figure_destroy(flt_figure *f) {
    for (size_t i = 0; f != NULL && i < f->n_series; i++) flt_free(f->series[i].points);
    flt_free(f);
}
