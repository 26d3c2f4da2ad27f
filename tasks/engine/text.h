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

#endif
