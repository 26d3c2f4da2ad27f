// SPDX-License-Identifier: MIT
// Questions to a results store beyond the list of runs: filters.
#ifndef FLTX_RESULTS_ASK_H
#define FLTX_RESULTS_ASK_H

#include "flt/results.h"

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

#endif
