// SPDX-License-Identifier: MIT
// Optimizers on one task beside each other: runs, rows of the store, lines of the table.
#ifndef FLTX_CLI_CONTEST_H
#define FLTX_CLI_CONTEST_H

#include "engine/subject.h"
#include "engine/table.h"
#include "flt/evaluate.h"
#include "flt/results.h"

typedef struct flt_contest {
    const flt_common *common;
    const flt_subject *subjects;
    size_t n_subjects, baseline; // which of them the others are measured against
    const char *weights;         // of learned ones without a file of their own
    size_t seeds;
    flt_tuning tune;
    flt_store *store; // to which finished lines go at once; NULL: not of this rank
} flt_contest;

typedef struct flt_contest_task {
    const char *spec;
    char name[320]; // in names of metrics: "SPEC", or "SPEC steps=N" where a task comes at several lengths
    char suite[48]; // the set that it is of, "" alone
    size_t steps;
} flt_contest_task;

flt_err flt_contest_table(const flt_contest *c, flt_table **out);
// The baseline runs first, then the other hand-designed ones, the learned ones last; lines come in the order of the subjects.
// Where it fails or is interrupted, what was finished is in the store and in the table.
// from, part: its place in the progress of the whole evaluation.
flt_err flt_contest_run(const flt_contest *c, const flt_contest_task *task, const flt_sink *sink, double from, double part,
                        flt_table *t);
// Inner steps times a guess at what one takes on a task with so many parameters, for the progress of a whole evaluation.
double flt_contest_cost(const flt_contest *c, const flt_contest_task *task, size_t params);

#endif
