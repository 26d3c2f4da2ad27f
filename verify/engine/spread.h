// SPDX-License-Identifier: MIT
// Checks over ranks: each check runs on one of them, what it says is kept as bytes, brought to rank 0, and said there in the
// order of the checks.
#ifndef FLTX_SPREAD_H
#define FLTX_SPREAD_H

#include "flt/ranks.h"
#include "flt/sink.h"

typedef struct flt_spread {
    const flt_sink *next; // for progress, and whether to stop
    uint32_t part;        // number of the check that speaks
    unsigned char *bytes; // said so far
    size_t used, room;
    flt_sink sink; // what a check is given
} flt_spread;

void flt_spread_begin(const flt_sink *next, flt_spread *out); // `out` stays where it is
void flt_spread_end(flt_spread *s);
// Says on rank 0 what all ranks kept, part by part; part i ran on rank owner[i]. After a failure, told by `ran`, rank 0 says what
// it has itself, and the failure is everyone's.
flt_err flt_spread_say(flt_spread *s, const flt_ranks *r, uint32_t parts, const int *owner, flt_err ran);

#endif
