// SPDX-License-Identifier: MIT
// Expressions that several questions share; `r` is run, `e` is env.
#ifndef FLTX_RESULTS_QUERY_H
#define FLTX_RESULTS_QUERY_H

#include "flt/results_ask.h"
#include "store.h"
#include "text.h"

#define STATUS  "flt_status(r.status, e.host, r.boot_id, r.pid_space, r.pid, r.pid_started, r.heartbeat_us)"
#define SECONDS "round((coalesce(r.ended_us, r.heartbeat_us) - r.started_us) / 1e6, 3)"
#define SEED    "iif(r.seed < 0, printf('%llu', r.seed), r.seed)" // seeds are unsigned, SQLite's integers are not
#define STARTED "datetime(r.started_us / 1000000, 'unixepoch', 'localtime')"
#define CODE    "substr(e.git_commit, 1, 10) || CASE e.git_dirty WHEN 1 THEN '+' ELSE '' END"

// Of the metrics `n` of the runs `x`: the mean over seeds without the seeds, or the seeds without their mean.
#define SAME_METRIC                                                                                                              \
    "EXISTS(SELECT 1 FROM metric_name o JOIN series y ON y.metric_id = o.metric_id AND y.run_id = x.run_id WHERE "               \
    "o.name = n.name AND o.subject = n.subject AND o.task = n.task AND o.seed "
#define MEANS_BEFORE_SEEDS "(n.seed < 0 OR NOT " SAME_METRIC "< 0))"
#define SEEDS_BEFORE_MEANS "(n.seed >= 0 OR NOT " SAME_METRIC ">= 0))"

// The run of this number (0: the latest). FLTE_NAME when there is none.
flt_err flt_find_run(flt_store *s, long long *run);

// Appends the condition that `text` says over runs `r` to `q`; `text` is copied into *words, which lives as long as q.
flt_err flt_where_compile(flt_store *s, const char *text, flt_query *q, char **words);
// Appends the value of a run field, parameter, metric or record field of this name, for ORDER BY and columns.
flt_err flt_where_value(flt_store *s, const char *name, flt_query *q);

// Runs a query with its bound values.
flt_err flt_query_run(flt_store *s, flt_query *q, flt_row_fn row, void *user);

#endif
