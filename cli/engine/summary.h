// SPDX-License-Identifier: MIT
// One line per mechanism of what `flt verify` found, gathered from its records on their way to the store.
#ifndef FLTX_CLI_SUMMARY_H
#define FLTX_CLI_SUMMARY_H

#include "engine/table.h"
#include "flt/sink.h"

typedef struct flt_summary flt_summary;

flt_err flt_summary_create(flt_summary **out);
void flt_summary_destroy(flt_summary *s); // NULL is fine
// A record of kind "check" or "ladder"; others are passed over.
flt_err flt_summary_add(flt_summary *s, const char *kind, size_t n, const flt_field *fields);
// A table with a row for each mechanism that scaling, slopes or the ladder were measured of; the caller destroys it.
flt_err flt_summary_table(const flt_summary *s, flt_table **out);

// The field of this name; one with the number 0 and the text "" when there is none.
const flt_field *flt_field_find(size_t n, const flt_field *fields, const char *name);

#endif
