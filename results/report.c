// SPDX-License-Identifier: MIT
// One self-contained HTML file about a store: no network, no script but the one that sorts and filters tables.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flt/tensorfile.h"
#include "html.h"
#include "query.h"

#define LATEST_CHECKS                                                                                                            \
    "(SELECT * FROM check_summary c WHERE run = (SELECT max(d.run_id) FROM check_result d WHERE d.mechanism IS c.mechanism AND " \
    "d.check_name IS c.check_name))"

// ---- tables, one after the other in a section; a title of NULL: none
typedef struct part {
    const char *title, *sql;
    const char *figures[4]; // before the table
} part;

static const char cards_sql[] =
    "SELECT count(*), 'runs', '' FROM run UNION ALL "
    "SELECT count(*), 'failed or interrupted', 'marginal' FROM run_summary WHERE status IN ('failed', 'interrupted') HAVING "
    "count(*) > 0 UNION ALL "
    "SELECT sum(passed) || ' of ' || sum(cases), 'checks passed', iif(sum(failed) > 0, 'fail', iif(sum(marginal) > 0, "
    "'marginal', "
    "'pass')) FROM " LATEST_CHECKS " HAVING count(*) > 0 UNION ALL "
    "SELECT sum(marginal), 'checks marginal', 'marginal' FROM " LATEST_CHECKS " HAVING sum(marginal) > 0 UNION ALL "
    "SELECT sum(failed), 'checks failed', 'fail' FROM " LATEST_CHECKS " HAVING sum(failed) > 0 UNION ALL "
    "SELECT count(DISTINCT mechanism), 'attention mechanisms measured', '' FROM ladder HAVING count(*) > 0 UNION ALL "
    "SELECT count(DISTINCT optimizer) || ' on ' || count(DISTINCT task), 'optimizers on tasks', '' FROM evaluation HAVING "
    "count(*) > 0 UNION ALL "
    "SELECT count(*), 'metrics', '' FROM series HAVING count(*) > 0 UNION ALL "
    "SELECT count(DISTINCT registry_hash), 'versions of the code: their numbers are kept apart', 'marginal' FROM run HAVING "
    "count(DISTINCT registry_hash) > 1";

static const part overview[] = {
    {NULL,
     "SELECT run, kind, status, started, seconds, code, precision, isa, tags, command FROM run_summary ORDER BY run DESC",
     {NULL}},
    {NULL}};
static const part checks[] = {
    {"Not passed",
     "SELECT mechanism, check_name AS \"check\", label, ratio, value, verdict, detail, run_id AS run FROM check_result WHERE "
     "verdict "
     "<> 'pass' ORDER BY verdict, ratio DESC LIMIT 500",
     {NULL}},
    {"The latest verdict of each mechanism and check",
     "SELECT mechanism, check_name AS \"check\", cases, passed, marginal, failed, worst_ratio, iif(failed > 0, 'fail', "
     "iif(marginal > 0, 'marginal', 'pass')) AS verdict, run FROM " LATEST_CHECKS
     " ORDER BY failed DESC, marginal DESC, mechanism, "
     "check_name",
     {NULL}},
    {NULL}};
static const part errors[] = {
    {NULL,
     "SELECT mechanism, encoding, options, causal, n, d, m, r, seeds, error_total, error_mask, error_kernel, seconds, "
     "seconds_exact, speedup, bytes, bytes_exact, last_run FROM attention_summary ORDER BY mechanism, encoding, causal, n, m, r",
     {"error-m", "error-r", "fidelity", NULL}},
    {NULL}};
static const part times[] = {
    {NULL,
     "SELECT subject, phase, label, n, m, r, reps, least, median, most, run FROM timing_summary ORDER BY run DESC",
     {"time", "bench-time", NULL}},
    {NULL}};
static const part optimizers[] = {
    {"More numbers of each optimizer",
     "SELECT task, optimizer, options, weights, steps, lr, seeds, loss_iqm, loss_best, loss_worst, not_finite, test_loss, "
     "test_metric, steps_to_baseline, reached, ns_per_param, precision, last_run FROM leaderboard",
     {NULL}},
    {NULL}};
static const part provenance[] = {
    {NULL,
     "SELECT e.env_id AS build, j.key AS what, j.value FROM env e, json_each(json_object('version', version, 'commit', "
     "git_commit, "
     "'uncommitted changes', iif(git_dirty, 'yes', 'no'), 'runs', (SELECT count(*) FROM run r WHERE r.env_id = e.env_id), "
     "'host', host, 'os', os, 'kernel', kernel, 'cpu', cpu_model, 'cores', cores, 'GiB of memory', round(ram_bytes / "
     "1073741824.0, "
     "1), 'compiler', compiler, 'flags', compile_flags, 'build type', build_type, 'precision', precision, 'isa', isa, 'blas', "
     "blas, "
     "'fftw', fftw, 'sqlite', sqlite, 'libc', libc)) j ORDER BY e.env_id DESC, j.id",
     {NULL}},
    {NULL}};

enum { MOST_ROWS = 1000 };

static bool is_empty(const char *text) {
    return text == NULL || text[0] == 0;
}

static flt_err add_rows(flt_store *s, const char *sql, flt_row_fn row, void *user) {
    flt_query *q = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *q, &q));
    flt_query_add(q, sql);
    const flt_err err = flt_query_run(s, q, row, user);
    flt_free(q->sql.data);
    flt_free(q);
    return err;
}

static bool add_card(void *user, size_t n, const char *const *names, const char *const *values) {
    flt_text *t = user;
    (void)n, (void)names;
    flt_text_add(t, "<li class=\"");
    flt_text_add(t, values[2]);
    flt_text_add(t, "\"><b>");
    flt_html_escape(t, is_empty(values[0]) ? "0" : values[0]);
    flt_text_add(t, "</b>");
    flt_html_escape(t, values[1]);
    flt_text_add(t, "</li>");
    return t->err == FLTE_OK;
}

static flt_err add_figure(flt_store *s, const char *name, long long run, const char *suffix, const char *of, flt_text *t) {
    flt_figure *f = NULL;
    FLTX_TRY(flt_figure_create(s, name, run, NULL, &f));
    if (f->n_series > 0) flt_svg_figure(t, f, suffix, of);
    flt_figure_destroy(f);
    return FLTE_OK;
}

// What has no row has no title either.
static flt_err add_part(flt_store *s, const part *p, flt_text *t, size_t *shown) {
    flt_html_table h = {.t = t, .limit = MOST_ROWS, .title = p->title};
    if (p->figures[0] != NULL) flt_text_add(t, "<div class=\"figures\">");
    for (size_t k = 0; p->figures[k] != NULL; k++) FLTX_TRY(add_figure(s, p->figures[k], 0, NULL, NULL, t));
    if (p->figures[0] != NULL) flt_text_add(t, "</div>");
    FLTX_TRY(add_rows(s, p->sql, flt_html_row, &h));
    flt_html_table_end(&h);
    *shown += h.rows;
    return FLTE_OK;
}

static flt_err add_parts(flt_store *s, const part *parts, flt_text *t) {
    size_t shown = 0;
    for (size_t i = 0; parts[i].sql != NULL; i++) FLTX_TRY(add_part(s, &parts[i], t, &shown));
    if (shown == 0) flt_text_add(t, "<p>Nothing has been recorded of this yet.</p>\n");
    return FLTE_OK;
}

// ---- sections
static flt_err add_overview(flt_store *s, flt_text *t) {
    flt_text_add(t, "<ul class=\"cards\">");
    FLTX_TRY(add_rows(s, cards_sql, add_card, t));
    flt_text_add(t, "</ul>\n");
    return add_parts(s, overview, t);
}

static flt_err add_checks(flt_store *s, flt_text *t) {
    return add_parts(s, checks, t);
}

static flt_err add_errors(flt_store *s, flt_text *t) {
    return add_parts(s, errors, t);
}

static flt_err add_times(flt_store *s, flt_text *t) {
    return add_parts(s, times, t);
}

static flt_err add_optimizers(flt_store *s, flt_text *t) {
    flt_html_table sets = {
        .t = t, .limit = MOST_ROWS, .title = "Speed-up over the tasks of a set: inter-quartile mean, 95 % interval"};
    flt_html_table h = {.t = t, .limit = MOST_ROWS, .title = "Final loss: inter-quartile mean over seeds with its 95 % interval"};
    flt_text_add(t, "<div class=\"figures\">");
    FLTX_TRY(add_figure(s, "profile", 0, NULL, NULL, t));
    flt_text_add(t, "</div>");
    FLTX_TRY(flt_store_speedups(s, 0, NULL, NULL, flt_html_row, &sets));
    flt_html_table_end(&sets);
    FLTX_TRY(flt_store_best(s, NULL, NULL, NULL, flt_html_row, &h));
    flt_html_table_end(&h);
    return add_parts(s, optimizers, t);
}

typedef struct curves {
    flt_store *s;
    flt_text *t;
    flt_err err;
    size_t runs;
} curves;

static bool add_curves_of(void *user, size_t n, const char *const *names, const char *const *values) {
    curves *c = user;
    char of[128];
    (void)n, (void)names;
    snprintf(of, sizeof of, "Run %s, %s. ", values[1], values[0]);
    c->runs++;
    c->err = add_figure(c->s, "curves", strtoll(values[1], NULL, 10), values[0], of, c->t);
    return c->err == FLTE_OK;
}

// The latest run of each kind that has a loss by step.
static flt_err add_curves(flt_store *s, flt_text *t) {
    curves c = {.s = s, .t = t};
    flt_text_add(t, "<div class=\"figures\">");
    FLTX_TRY(add_rows(s,
                      "SELECT r.kind, max(r.run_id) FROM run r WHERE EXISTS(SELECT 1 FROM series x JOIN metric_name n "
                      "USING(metric_id) WHERE x.run_id = r.run_id AND x.points > 1 AND n.name LIKE '%loss%' AND n.name NOT LIKE "
                      "'%by_rate%') GROUP BY r.kind ORDER BY 2 DESC",
                      add_curves_of, &c));
    flt_text_add(t, "</div>");
    if (c.runs == 0) flt_text_add(t, "<p>Nothing has been recorded of this yet.</p>\n");
    return c.err;
}

static flt_err add_provenance(flt_store *s, flt_text *t) {
    return add_parts(s, provenance, t);
}

static const struct {
    const char *id, *title, *says;
    flt_err (*add)(flt_store *s, flt_text *t);
} sections[] = {
    {"overview", "Runs", NULL, add_overview},
    {"checks", "Verification",
     "Ratio: distance from the oracle over eps, growth and scale of the inputs; up to 30 passes, up to 300 is marginal.",
     add_checks},
    {"errors", "Attention against exact attention",
     "Relative Frobenius norm of the difference: in total, from the estimated mask alone, from the feature kernel alone.",
     add_errors},
    {"times", "Times", "Least, median and most of the repetitions, in seconds.", add_times},
    {"leaderboard", "Optimizers",
     "Latest value of each seed. Profile (Dolan and More, 2002): further up and further left is better.", add_optimizers},
    {"curves", "Learning curves", NULL, add_curves},
    {"provenance", "Provenance", "Machines, builds and libraries that the numbers come from.", add_provenance},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

static void add_header(const flt_store *s, flt_text *t) {
    flt_provenance p;
    flt_provenance_get(&p);
    char day[32] = "";
    const time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) != NULL) strftime(day, sizeof day, "%Y-%m-%d %H:%M", &local);
    flt_html_head(t, "flt: results");
    flt_text_add(t, "<header><h1>Results</h1><p class=\"quiet\">of ");
    const char *base = strrchr(s->path, '/');
    flt_html_escape(t, base == NULL ? s->path : base + 1);
    flt_text_print(t, ", written by flt %s (%.10s%s) on %s.</p><nav>", p.version, p.commit, p.dirty ? "+" : "", day);
    for (size_t i = 0; i < N_SECTIONS; i++) flt_text_print(t, "<a href=\"#%s\">%s</a>", sections[i].id, sections[i].title);
    flt_text_add(t, "</nav></header>\n<main>");
}

static flt_err compose(flt_store *s, flt_text *t) {
    add_header(s, t);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        flt_text_print(t, "<section id=\"%s\"><h2>%s</h2>\n", sections[i].id, sections[i].title);
        if (sections[i].says != NULL) flt_text_print(t, "<p class=\"quiet\">%s</p>\n", sections[i].says);
        FLTX_TRY(sections[i].add(s, t));
        flt_text_add(t, "</section>\n");
    }
    flt_html_foot(t);
    return t->err;
}

flt_err flt_store_report(flt_store *s, const char *path) {
    FLTX_GIVEN(s, path);
    flt_text t = {0};
    FLTX_TRY(flt_store_check(s, "report", false));
    flt_err err = compose(s, &t);
    if (err == FLTE_OK) err = flt_write_atomic(path, t.data, t.used);
    flt_free(t.data);
    return err;
}
