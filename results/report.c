// SPDX-License-Identifier: MIT
// One self-contained HTML file about a store: no network, no script but the one that sorts tables.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "html.h"
#include "query.h"

static const struct {
    const char *id, *title, *sql, *figures[3];
} sections[] = {
    {"overview",
     "Runs",
     "SELECT run, kind, status, started, seconds, code, precision, isa, tags, command FROM run_summary ORDER BY run DESC",
     {NULL}},
    {"checks",
     "Verification",
     "SELECT mechanism, check_name AS \"check\", cases, passed, marginal, failed, worst_ratio, iif(failed > 0, 'fail', "
     "iif(marginal > 0, "
     "'marginal', 'pass')) AS verdict, run FROM check_summary WHERE run = (SELECT max(run) FROM check_summary) ORDER BY failed "
     "DESC, "
     "marginal DESC, mechanism, check_name",
     {NULL}},
    {"errors",
     "Attention against exact attention",
     "SELECT mechanism, encoding, causal, n, d, m, r, seeds, error_total, error_mask, error_kernel, seconds, seconds_exact, "
     "speedup, "
     "bytes, bytes_exact, last_run FROM attention_summary ORDER BY mechanism, encoding, causal, n, m, r",
     {"error-m", "error-r", NULL}},
    {"times",
     "Times",
     "SELECT subject, phase, label, n, m, r, reps, least, median, most, run FROM timing_summary ORDER BY run DESC",
     {"time", "fidelity", NULL}},
    {"leaderboard",
     "Optimizers",
     "SELECT task, optimizer, weights, steps, lr, seeds, loss_iqm, loss_best, loss_worst, not_finite, test_loss, test_metric, "
     "steps_to_baseline, ns_per_param, precision, last_run FROM leaderboard",
     {NULL}},
    {"curves", "Learning curves", NULL, {"curves", NULL}},
    {"provenance",
     "Provenance",
     "SELECT version, git_commit, iif(git_dirty, 'yes', 'no') AS uncommitted_changes, host, os, kernel, cpu_model, cores, "
     "compiler, "
     "compile_flags, build_type, blas, fftw, isa, precision, sqlite FROM env",
     {NULL}},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections, MOST_ROWS = 1000 };

static flt_err add_table(flt_store *s, const char *sql, flt_text *t) {
    flt_query *q = NULL;
    flt_html_table h = {.t = t, .limit = MOST_ROWS};
    FLTX_TRY(flt_alloc(1, sizeof *q, &q));
    flt_query_add(q, sql);
    const flt_err err = flt_query_run(s, q, flt_html_row, &h);
    flt_free(q->sql.data);
    flt_free(q);
    flt_html_table_end(&h);
    return err;
}

static flt_err add_figure(flt_store *s, const char *name, flt_text *t) {
    flt_figure *f = NULL;
    FLTX_TRY(flt_figure_create(s, name, 0, NULL, &f));
    if (f->n_series > 0) flt_svg_figure(t, f);
    flt_figure_destroy(f);
    return FLTE_OK;
}

static void add_header(const flt_store *s, flt_text *t) {
    flt_provenance p;
    flt_provenance_get(&p);
    flt_html_head(t, "flt: results");
    flt_text_add(t, "<header><h1>Results</h1><p>of ");
    const char *base = strrchr(s->path, '/');
    flt_html_escape(t, base == NULL ? s->path : base + 1);
    flt_text_print(t, ", written by flt %s (%.10s%s).</p><nav>", p.version, p.commit, p.dirty ? "+" : "");
    for (size_t i = 0; i < N_SECTIONS; i++) flt_text_print(t, "<a href=\"#%s\">%s</a>", sections[i].id, sections[i].title);
    flt_text_add(t, "</nav></header>\n<main>");
}

static flt_err compose(flt_store *s, flt_text *t) {
    add_header(s, t);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        flt_text_print(t, "<section id=\"%s\"><h2>%s</h2>\n", sections[i].id, sections[i].title);
        for (size_t k = 0; sections[i].figures[k] != NULL; k++) FLTX_TRY(add_figure(s, sections[i].figures[k], t));
        if (sections[i].sql != NULL) FLTX_TRY(add_table(s, sections[i].sql, t));
        flt_text_add(t, "</section>\n");
    }
    flt_html_foot(t);
    return t->err;
}

// A file that is there is replaced at once, or stays.
static flt_err write_file(const char *path, const flt_text *t) {
    char temporary[FLTX_MAX_PATH];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid()) >= sizeof temporary)
        return flt_fail(FLTE_IO, "report", "the name of the file is too long");
    FILE *f = fopen(temporary, "we");
    if (f == NULL) return flt_fail(FLTE_IO, "report", "%s: cannot be written: %s", path, strerror(errno));
    const bool written = fwrite(t->data, 1, t->used, f) == t->used;
    const bool closed = fclose(f) == 0;
    if (written && closed && rename(temporary, path) == 0) return FLTE_OK;
    const int number = errno;
    unlink(temporary);
    return flt_fail(FLTE_IO, "report", "%s: cannot be written: %s", path, strerror(number));
}

flt_err flt_store_report(flt_store *s, const char *path) {
    flt_text t = {0};
    FLTX_TRY(flt_store_check(s, "report", false));
    flt_err err = compose(s, &t);
    if (err == FLTE_OK) err = write_file(path, &t);
    flt_free(t.data);
    return err;
}
