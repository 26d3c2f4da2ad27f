// SPDX-License-Identifier: MIT
// Questions to a results store beyond the list of runs, and its upkeep: filters, tags and notes, removal, export, import.
#ifndef FLTX_RESULTS_ASK_H
#define FLTX_RESULTS_ASK_H

#include "flt/results.h"

FLTX_BEGIN_DECLS

// ---- runs by what they are.  NULL: no matter. Every text is bound to the SQL, none becomes part of it.
typedef struct flt_run_filter {
    const char *kind, *status, *tag;
    const char *task, *optimizer, *mechanism; // as a parameter or in a row of results; a task also by its name before ':'
    const char *since;                        // "2d", "12h", "30m", "1w", or a date "2026-11-21 18:00"
    const char *where;                        // see below
    const char *sort;                         // a name as in `where`, "-name": largest first; NULL: latest first
    size_t limit;                             // 0: all
} flt_run_filter;
// where:  or-expression of  NAME OP VALUE, with and, or, not and brackets; not binds tightest, or loosest.
//   NAME   a field of the run (run, kind, status, seed, threads, host, precision, isa, commit, dirty, exit_code, seconds, ..), a
//          parameter, a metric (its last value) or a field of evaluations, checks, ladder rows and timings; in quotes where it
//          holds other letters than [A-Za-z0-9_./:-]. A field of the run goes before the others.
//   OP     < <= > >= = == != <> for numbers (inf and nan too: nan only = and !=); = != and ~ !~ (patterns with * and ?) for texts
//   VALUE  1e-3, 'a text', "a text" or a plain word
// A comparison holds when one of the run's values of that name fulfils it; a run without one fulfils none.
// Errors: FLTE_USAGE with the place in the text; FLTE_NAME for a name that no run has.
flt_err flt_store_find(flt_store *s, const flt_run_filter *f, flt_row_fn row, void *user);

// ---- runs as people name them: "3", "last", "last-2" (two before the latest); a group is several joined by commas, and comes
// as "3,4,5". FLTE_USAGE for other words and a run twice in a group; FLTE_NAME when there is no such run. `out` is the caller's.
flt_err flt_store_run_of(flt_store *s, const char *who, const char *word, long long *run);
flt_err flt_store_group_of(flt_store *s, const char *who, const char *words, char **out);

// ---- upkeep; a store opened for writing. FLTE_NAME when there is no such run (0: the latest).
flt_err flt_store_tag(flt_store *s, long long run, const char *name, bool on); // a word without blanks; twice is once
flt_err flt_store_note(flt_store *s, long long run, const char *text);
flt_err flt_store_remove(flt_store *s, long long run); // with all its rows; FLTE_USAGE while it is running
typedef struct flt_gc {
    long long machines, metrics;         // rows that no run refers to any more
    long long bytes_before, bytes_after; // of the file
} flt_gc;
flt_err flt_store_gc(flt_store *s, flt_gc *out); // not while another process writes (FLTE_DB)

// ---- tables
// Rows of name, type (table, view), columns, meaning.
flt_err flt_store_schema(flt_store *s, flt_row_fn row, void *user);
// Every row of a table or view. FLTE_NAME with those there are.
flt_err flt_store_table(flt_store *s, const char *table, flt_row_fn row, void *user);
// Merges the runs of another store into this one, in one transaction: a run that is here already (by uuid) is not copied again,
// but brought up to date where the other file saw it later; tags and notes are united. The other file stays as it is unless its
// tables are of an older version. Errors: as flt_store_open; FLTE_USAGE when both are the same file.
typedef struct flt_import {
    long long added, updated, known;
} flt_import;
flt_err flt_store_import(flt_store *s, const char *path, flt_import *out);

// ---- comparison of two groups of runs, named as above (their values are pooled).  Parts: differences (parameters and
// provenance that are not the same: name, a, b); metrics (means, the difference b - a with a 95 % bootstrap interval,
// Mann-Whitney p, all of the finite ones, and how many are not); timings (medians, their ratio b / a with a 99 % interval, p,
// verdict: slower, faster, same, too few; machine: it is, but not against the probes that the benchmark ran beside it).
flt_err flt_store_compare(flt_store *s, const char *a, const char *b, const char *part, flt_row_fn row, void *user);
// Leaderboard, the best first: of optimizers by a field of evaluations (default final_loss; speedup* and *_metric: more is
// better, but of *_metric where `is_error` says otherwise of the task), of attention mechanisms by a field of the ladder.
// Inter-quartile mean over the latest value of each seed with a 95 % bootstrap interval; a seed that is not finite counts as the
// worst of all, as in the view `leaderboard`. task: NULL for all; is_error: NULL for no task.
typedef bool (*flt_task_is_error_fn)(const char *task);
flt_err flt_store_best(flt_store *s, const char *task, const char *metric, flt_task_is_error_fn is_error, flt_row_fn row,
                       void *user);

// Optimizers over all tasks of a set of `flt eval`, the fastest first: tasks, optimizer, the inter-quartile mean of the speed-up
// over tasks x seeds with a 95 % bootstrap interval (stratified by task), shares of the runs that reached the baseline's loss,
// that were at least 1.5 and 2 times as fast, that diverged; the mean loss ratio; the same mean beside the best tuned baseline.
// run: of this run, and all its sets together last; 0: the latest value of each seed. set: NULL for all; tasks without a set
// come as "tasks". metric: the order, speedup (NULL), speedup_best or loss_ratio. FLTE_NAME for another one, and for a set
// without any row.
flt_err flt_store_speedups(flt_store *s, long long run, const char *set, const char *metric, flt_row_fn row, void *user);

// ---- figures: their data, without a word on how they are drawn
enum { FLTX_FIGURE_SERIES = 24, FLTX_FIGURE_POINTS = 400 };
typedef struct flt_figure_point {
    double x, y, low, high; // finite; the band over seeds
} flt_figure_point;
typedef struct flt_figure_series {
    char name[128], remark[64]; // remark: fitted slope, crossover, or ""
    size_t n;
    flt_figure_point *points; // by growing x; long curves are thinned
    size_t seen, stride;
} flt_figure_series;
typedef struct flt_figure {
    const char *name, *title, *x, *y; // x, y: what the axes mean
    bool log_x, log_y;
    bool points, plain; // points: not joined by lines; plain: lines without marks
    bool left_out;      // there were more series than fit
    size_t n_series;
    flt_figure_series series[FLTX_FIGURE_SERIES];
} flt_figure;
// Figures: curves (losses of a run by step, or the metric; run 0: the latest that has any), error-m and error-r (error against
// exact attention by features and frequencies, with fitted slopes), time and bench-time (by length, with the crossover; of the
// error ladder and of the latest benchmark), fidelity (error by time; the
// metric names an encoding), profile (performance profile of optimizers by steps to the
// baseline's loss, or the metric: final_loss, test_loss, seconds, seconds_to_baseline; or @SET: on the tasks of a set alone); run
// 0: all runs. A figure may have no series. FLTE_NAME when there is no such figure or run.
flt_err flt_figure_create(flt_store *s, const char *name, long long run, const char *metric /* NULL: any loss */,
                          flt_figure **out);
void flt_figure_destroy(flt_figure *f);
// One self-contained HTML file (no network; the only script sorts tables) of runs, verification, errors, times, optimizers,
// curves and provenance. A file that is there is replaced at once, or stays.
flt_err flt_store_report(flt_store *s, const char *path);

FLTX_END_DECLS

#endif
