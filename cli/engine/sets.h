// SPDX-License-Identifier: MIT
// How fast the optimizers of an evaluation are over all tasks of each set, from the rows of the store.
#ifndef FLTX_CLI_SETS_H
#define FLTX_CLI_SETS_H

#include "engine/session.h"
#include "engine/table.h"

// A table of no rows where nothing was recorded, or where this rank has no store. The numbers become metrics of the run:
// speedup/LABEL/@SET, speedup_low/.., speedup_high/.. (95 %), speedup_best/..
flt_err flt_sets_table(flt_session *s, flt_table **out);

#endif
