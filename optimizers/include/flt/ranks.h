// SPDX-License-Identifier: MIT
// Ranks: the processes of one job, on one machine or on many. What they need of each other, and nothing of how it travels: the
// program brings an implementation (meta/mpi/), a library without one works alone.
//
// Every rank makes the same collective calls in the same order. A rank that fails takes its failure to the next flt_ranks_agree,
// where all learn of it; after that, and once a rank is gone, collective calls return at once.
#ifndef FLTX_RANKS_H
#define FLTX_RANKS_H

#include "flt/error.h"

FLTX_BEGIN_DECLS

typedef struct flt_ranks_state {
    uint64_t calls, bytes; // collective calls, and the bytes that this rank received by them
    double waiting;        // seconds in them
    bool failed;           // an agreement failed: all ranks know, none waits for another any more
    bool broken;           // a rank is gone
    bool speaker;          // of those that remain, this one tells the user
} flt_ranks_state;

typedef struct flt_ranks {
    void *self;
    int me, count; // rank 0 writes files, the store and the terminal
    int here;      // ranks on this machine
    flt_ranks_state *state;
    // Collective calls. Errors: FLTE_IO naming a rank that is gone.
    // exchange: bytes offset[r] .. offset[r + 1] - 1 of `table` are rank r's; afterwards everyone has all of them.
    flt_err (*exchange)(void *self, void *table, const size_t *offset /* [count + 1] */);
    // gather: rows offset[r] .. offset[r + 1] - 1 of `all`, on rank 0, come from `own` of rank r; scatter: the other way round.
    flt_err (*gather)(void *self, size_t row_bytes, const size_t *offset, const void *own, void *all);
    flt_err (*scatter)(void *self, size_t row_bytes, const size_t *offset, const void *all, void *own);
    flt_err (*broadcast)(void *self, int from, void *data, size_t bytes);
} flt_ranks;

// ---- `r` may be NULL in all of these: one rank, alone
int flt_ranks_me(const flt_ranks *r);
int flt_ranks_count(const flt_ranks *r);
// First of n items of rank `rank`: contiguous shares that differ by one item at most. The share of rank `count` begins at n.
size_t flt_ranks_first(const flt_ranks *r, size_t n, int rank);
// Cells of independent work are dealt out one by one: neighbours tend to cost the same.
bool flt_ranks_own(const flt_ranks *r, size_t cell);
// table [n, bytes]: each rank has filled the cells that it owns; afterwards everyone has all. `mine`: how that went here.
flt_err flt_ranks_cells(const flt_ranks *r, size_t n, size_t bytes, void *table, flt_err mine);
// The failure of the lowest rank that failed, with its sentence, on every rank; FLTE_OK when all are fine.
flt_err flt_ranks_agree(const flt_ranks *r, flt_err mine);
// FLTE_USAGE naming the rank whose text differs from that of rank 0; `what` is a noun in the plural: "kernels".
flt_err flt_ranks_same(const flt_ranks *r, const char *what, const char *text);

FLTX_END_DECLS

#endif
