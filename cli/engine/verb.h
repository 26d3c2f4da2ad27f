// SPDX-License-Identifier: MIT
// One verb of the program: `flt NAME ..`. One file per verb in cli/.
#ifndef FLTX_VERB_H
#define FLTX_VERB_H

#include "flt/registry.h"

typedef struct flt_verb_kind {
    flt_kind kind; // summary: the line of `flt --help`
    // argv[0] is "flt NAME". Returns the exit status; what failed has been printed by then.
    int (*run)(int argc, char **argv);
    bool ranks; // runs on all ranks of a job, which share the work; others run on rank 0 alone
} flt_verb_kind;

const flt_registry *flt_verb_registry(void);
flt_err flt_verb_find(const char *name, const flt_verb_kind **out);

#endif
