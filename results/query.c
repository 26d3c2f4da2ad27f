// SPDX-License-Identifier: MIT
// The questions that the program asks: the list of runs, the parts of one.
#include <string.h>

#include "query.h"
#include "store.h"

// One value a line: forty columns in one row are not readable.
static const char run_sql[] =
    "SELECT key AS name, value FROM json_each((SELECT json_object('run', r.run_id, 'uuid', r.uuid, 'parent', r.parent_id, "
    "'kind', r.kind, 'status', " STATUS ", 'exit_code', r.exit_code, 'message', iif(r.message IS NULL AND r.status <> " STATUS
    ", 'killed: its process is gone', r.message), 'started', " STARTED ", "
    "'seconds', " SECONDS ", 'command', r.command, 'folder', r.folder, 'seed', " SEED ", 'threads', r.threads, "
    "'progress', r.progress, 'progress_text', r.progress_text, 'rows_lost', nullif(r.rows_lost, 0), "
    "'registry_hash', r.registry_hash, 'version', e.version, 'git_commit', e.git_commit, "
    "'uncommitted_changes', iif(e.git_dirty, 'yes', 'no'), 'precision', e.precision, 'isa', e.isa, 'blas', e.blas, "
    "'fftw', e.fftw, 'compiler', e.compiler, 'compile_flags', e.compile_flags, 'build_type', e.build_type, 'libc', e.libc, "
    "'sqlite', e.sqlite, 'host', e.host, 'os', e.os, 'kernel', e.kernel, 'arch', e.arch, 'cpu_model', e.cpu_model, "
    "'cores', e.cores, 'ram_bytes', e.ram_bytes, 'pid', r.pid) "
    "FROM run r JOIN env e USING(env_id) WHERE r.run_id = ?1)) WHERE value IS NOT NULL";

#define EVALUATION                                                                                                               \
    "SELECT optimizer, task, coalesce(seed, 'mean of ' || seeds) AS seed, coalesce(final_loss, special ->> 'final_loss') AS "    \
    "final_loss, coalesce(test_loss, special ->> 'test_loss') AS test_loss, coalesce(test_metric, special ->> 'test_metric') "   \
    "AS test_metric, coalesce(steps_to_baseline, special ->> 'steps_to_baseline') AS steps_to_baseline, baseline, steps, lr, "   \
    "seconds, ns_per_param, state_words, options, weights FROM evaluation "

static const struct {
    const char *name, *sql;
} parts[] = {
    {"run", run_sql},
    {"params", "SELECT name, value FROM param WHERE run_id = ?1 ORDER BY name"},
    {"metrics",
     "SELECT n.name AS metric, nullif(n.subject, '') AS subject, nullif(n.task, '') AS task, nullif(n.seed, -1) AS seed, "
     "x.points, x.last_step AS step, coalesce(x.last_value, x.last_special) AS last, x.least, x.most "
     "FROM series x JOIN metric_name n USING(metric_id) WHERE x.run_id = ?1 ORDER BY x.metric_id"},
    {"sparklines", // one line for the mean over seeds where there is one
     "SELECT n.name AS metric, nullif(n.subject, '') AS subject, nullif(n.task, '') AS task, nullif(n.seed, -1) AS seed, "
     "coalesce(x.last_value, x.last_special) AS last, "
     "flt_spark(x.run_id, x.metric_id, x.points, (SELECT min(m.step) FROM metric m WHERE m.run_id = x.run_id AND "
     "m.metric_id = x.metric_id), x.last_step) AS curve, x.points, x.last_step AS step, x.least, x.most "
     "FROM series x JOIN metric_name n USING(metric_id) WHERE x.run_id = ?1 AND " MEANS_BEFORE_SEEDS " ORDER BY x.metric_id"},
    {"curves",
     "SELECT n.name AS metric, n.subject, n.task, nullif(n.seed, -1) AS seed, m.step, coalesce(m.value, m.special) AS value, "
     "m.t_ms FROM metric m JOIN metric_name n USING(metric_id) WHERE m.run_id = ?1 ORDER BY m.metric_id, m.step"},
    {"checks",
     "SELECT mechanism, check_name AS \"check\", label, coalesce(ratio, special ->> 'ratio') AS ratio, verdict, value, detail "
     "FROM check_result WHERE run_id = ?1 ORDER BY seq"},
    {"verdicts",
     "SELECT mechanism, check_name AS \"check\", cases, passed, marginal, failed, worst_ratio FROM check_summary WHERE run = ?1 "
     "ORDER BY failed DESC, marginal DESC, mechanism, check_name"},
    {"not passed",
     "SELECT mechanism, check_name AS \"check\", label, coalesce(ratio, special ->> 'ratio') AS ratio, verdict, value, detail "
     "FROM check_result WHERE run_id = ?1 AND verdict <> 'pass' ORDER BY seq"},
    {"ladder", "SELECT mechanism, encoding, options, n, d, m, r, seed, causal, "
               "coalesce(error_total, special ->> 'error_total') AS error_total, "
               "coalesce(error_mask, special ->> 'error_mask') AS error_mask, "
               "coalesce(error_kernel, special ->> 'error_kernel') AS error_kernel, "
               "seconds, seconds_exact, bytes, bytes_exact FROM ladder WHERE run_id = ?1 ORDER BY seq"},
    {"errors",
     "SELECT mechanism, encoding, options, causal, n, m, r, count(*) AS rows, avg(error_total) AS error_total, "
     "avg(error_mask) AS error_mask, avg(error_kernel) AS error_kernel, min(seconds) AS seconds, min(seconds_exact) AS "
     "seconds_exact, sum(special IS NOT NULL) AS not_finite FROM ladder WHERE run_id = ?1 GROUP BY mechanism, encoding, "
     "options, causal, n, m, r ORDER BY min(seq)"},
    {"evaluations", EVALUATION "WHERE run_id = ?1 ORDER BY seq"},
    {"means", EVALUATION "v WHERE run_id = ?1 AND (seed IS NULL OR NOT EXISTS(SELECT 1 FROM evaluation o WHERE o.run_id = ?1 AND "
                         "o.seed IS NULL AND o.task IS v.task AND o.optimizer IS v.optimizer)) ORDER BY seq"},
    {"times",
     "SELECT subject, phase, label, options, n, d, m, r, threads, reps, least, median, most FROM timing_summary WHERE run "
     "= ?1 ORDER BY subject, phase, n, m, r"},
    {"timings",
     "SELECT subject, phase, label, n, d, m, r, threads, rep, warm, seconds FROM timing WHERE run_id = ?1 ORDER BY seq"},
    {"artifacts", "SELECT kind, path, bytes, checksum FROM artifact WHERE run_id = ?1 ORDER BY t_ms, path"},
    {"events", "SELECT t_ms, level, message FROM event WHERE run_id = ?1 ORDER BY seq"},
    {"tags", "SELECT name FROM tag WHERE run_id = ?1 ORDER BY name"},
    {"notes", "SELECT datetime(written_us / 1000000, 'unixepoch', 'localtime') AS written, text FROM note WHERE run_id = ?1 "
              "ORDER BY written_us"},
};
enum { N_PARTS = sizeof parts / sizeof *parts };

static flt_err ask(flt_store *s, const char *sql, long long argument, flt_row_fn row, void *user) {
    sqlite3_stmt *st = NULL;
    int rc = SQLITE_OK;
    FLTX_TRY(flt_store_check(s, "query", false));
    FLTX_TRY(flt_db_prepare(s->db, s->path, sql, &st));
    sqlite3_bind_int64(st, 1, argument);
    flt_err err = flt_rows_emit(s, st, row, user, &rc, NULL);
    if (err == FLTE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) err = flt_db_fail(s->db, rc, s->path, "reading");
    sqlite3_finalize(st);
    return err;
}

flt_err flt_store_list(flt_store *s, size_t limit, flt_row_fn row, void *user) {
    FLTX_GIVEN(s);
    const flt_run_filter all = {.limit = limit};
    return flt_store_find(s, &all, row, user);
}

static flt_err find_part(const char *part, const char **sql) {
    const char *names[N_PARTS + 1] = {NULL};
    for (size_t i = 0; i < N_PARTS; i++) {
        names[i] = parts[i].name;
        if (strcmp(parts[i].name, part) != 0) continue;
        *sql = parts[i].sql;
        return FLTE_OK;
    }
    const char *near = flt_nearest(part, names);
    return flt_fail(FLTE_NAME, "results",
                    "a run has no part '%s'%s%s%s; its parts are run, params, metrics, sparklines, curves, checks, verdicts, "
                    "not passed, ladder, errors, evaluations, means, timings, times, artifacts, events, tags, notes",
                    part, near == NULL ? "" : " (did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?)");
}

flt_err flt_find_run(flt_store *s, long long *run) {
    long long last = 0, found = 0;
    FLTX_TRY(flt_db_int(s->db, s->path, "SELECT max(run_id) FROM run", &last));
    if (last == 0) return flt_fail(FLTE_NAME, "results", "%s: no run has been recorded in it", s->path);
    if (*run == 0) *run = last;
    sqlite3_stmt *st = NULL;
    FLTX_TRY(flt_db_prepare(s->db, s->path, "SELECT count(*) FROM run WHERE run_id = ?1", &st));
    sqlite3_bind_int64(st, 1, *run);
    const int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) found = sqlite3_column_int64(st, 0);
    const flt_err err = rc == SQLITE_ROW ? FLTE_OK : flt_db_fail(s->db, rc, s->path, "reading");
    sqlite3_finalize(st);
    FLTX_TRY(err);
    return found > 0 ? FLTE_OK : flt_fail(FLTE_NAME, "results", "%s: no run %lld; the latest is %lld", s->path, *run, last);
}

flt_err flt_store_show(flt_store *s, long long run, const char *part, flt_row_fn row, void *user) {
    FLTX_GIVEN(s, part);
    const char *sql = NULL;
    FLTX_TRY(flt_store_check(s, "query", false));
    FLTX_TRY(find_part(part, &sql));
    FLTX_TRY(flt_find_run(s, &run));
    return ask(s, sql, run, row, user);
}
