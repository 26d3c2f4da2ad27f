// SPDX-License-Identifier: MIT
// Minibatches without state: row number i of an epoch's random order, in constant time and without a table.
//
// A keyed bijection of 0 .. n-1: a Feistel network on pairs (x mod a, x / a) with a b >= n, a, b ~ sqrt n, walked again while it
// lands outside (at most a - 1 of a b values do), in 12 rounds: with 6, pairs of rows are not yet independent when n is 10.
// J. Black, P. Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002.
#ifndef FLTX_SHUFFLE_H
#define FLTX_SHUFFLE_H

#include "flt/objective.h"
#include "flt/random.h"

enum { FLTX_SHUFFLE_ROUNDS = 12 };

typedef struct flt_shuffle {
    uint32_t n, a, b;
    uint32_t key[FLTX_SHUFFLE_ROUNDS];
} flt_shuffle;

// n >= 1.
flt_shuffle flt_shuffle_make(flt_rng r, uint32_t n);
// Where first .. first + count - 1 go; first + count <= n. to [count].
void flt_shuffle_range(const flt_shuffle *s, uint32_t first, size_t count, uint32_t *to);

// The rows, of n, of minibatch `which`: training runs through epochs, each in an order of its own keyed by (seed, split, epoch),
// every row once. row [rows].
void flt_minibatch_rows(flt_batch which, size_t n, size_t rows, uint32_t *row);

#endif
