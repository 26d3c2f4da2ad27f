// SPDX-License-Identifier: MIT
// Text as symbols with a fixed split, for language models of bytes.
#ifndef FLTX_TEXT_H
#define FLTX_TEXT_H

#include "flt/objective.h"

typedef struct flt_text {
    unsigned char *symbol; // [first[3]]: 0 .. symbols - 1
    size_t first[4];       // split s holds first[s] .. first[s + 1] - 1
    size_t symbols;        // different bytes that occur, numbered by value
} flt_text;

// `where`: "licences", the licence texts that every Debian system carries, without paragraphs that repeat, or a file. Each text
// is cut 80/10/10 by position. Errors: FLTE_IO, FLTE_NOMEM; FLTE_RANGE where a split has fewer than `least` bytes. *out is
// closable after a failure.
flt_err flt_text_open(const char *who, const char *where, size_t least, flt_text *out);
void flt_text_close(flt_text *t);

// ---- windows of `length` symbols, each followed by one that is predicted
// Where window `row` of a minibatch begins: anywhere in its split.
size_t flt_text_random(const flt_text *t, flt_batch which, size_t row, size_t length);
// Windows side by side in a split, and where one of them begins.
size_t flt_text_windows(const flt_text *t, flt_split split, size_t length);
size_t flt_text_window(const flt_text *t, flt_split split, size_t window, size_t length);

// Bits per symbol on the test split of an order-2 model counted on the training split, backing off to orders 1 and 0 (I. Witten,
// T. Bell, The zero-frequency problem, IEEE Trans. Inf. Theory 37, 1991). What a model of windows has to beat. Errors:
// FLTE_NOMEM.
flt_err flt_text_order2(const flt_text *t, double *bits);

#endif
