// SPDX-License-Identifier: MIT
// Argument arrays of attention plans: reading, checking, copying, drawing. Private to core/attention.
#ifndef FLTX_ATTENTION_ARGS_H
#define FLTX_ATTENTION_ARGS_H

#include "flt/attention.h"

enum { FLTX_ATT_FREE = -1 }; // a size that the argument decides

// One dimension of a wanted shape: its letter for sentences; a size of FLTX_ATT_FREE accepts any and is filled in.
typedef struct flt_att_dim {
    const char *letter;
    ptrdiff_t size;
} flt_att_dim;

// An array that a plan owns, shared by the heads or one per head.
typedef struct flt_att_array {
    const char *name;
    double *data;              // [heads or nothing, dim ..]; NULL: not given
    size_t heads;              // 0: shared, without a head axis; else H leads
    size_t rank, count;        // of one head
    size_t dim[FLTX_MAX_RANK]; // of one head
} flt_att_array;

// FLTE_NAME unless every argument of the description is one of `names` (ends with NULL); FLTE_USAGE when one is given twice.
flt_err flt_att_args_known(const flt_attention_desc *desc, const char *const *names);

// The names of the mechanisms that have all bits of `caps`, for sentences.
void flt_att_capable(unsigned caps, char *list, size_t size);

// FLTE_NAME unless every gradient of the pass is one of `names` (ends with NULL).
flt_err flt_att_gradients_known(const char *who, const flt_attention_pass *pass, const char *const *names);

// Copies an argument. Absent: FLTE_OK with data NULL. Errors: FLTE_SHAPE, FLTE_NUMERIC (the first value that is not finite in
// flt_real), FLTE_NOMEM.
flt_err flt_att_take(const flt_attention_desc *desc, const char *name, size_t rank, flt_att_dim *dim, flt_att_array *out);

// A zeroed array with H leading, for draws.
flt_err flt_att_make(const flt_attention_desc *desc, const char *name, size_t rank, const size_t *dim, flt_att_array *out);
flt_err flt_att_number(const char *name, double value, flt_att_array *out); // one shared number
void flt_att_drop(flt_att_array *a);

double *flt_att_head(const flt_att_array *a, size_t head);

// ---- new values for arrays of a plan
enum { FLTX_ATT_MAX_ARRAYS = 64 };
typedef struct flt_att_arrays { // those that an update may name
    const char *who;            // the mechanism
    flt_att_array *at[FLTX_ATT_MAX_ARRAYS];
    size_t n;
} flt_att_arrays;

void flt_att_arrays_add(flt_att_arrays *to, flt_att_array *a); // when it is there
// FLTE_NAME, FLTE_SHAPE, FLTE_NUMERIC, FLTE_USAGE (twice) unless every argument fits one of the arrays.
flt_err flt_att_arrays_check(const flt_att_arrays *have, size_t n_args, const flt_attention_arg *args);
void flt_att_arrays_copy(const flt_att_arrays *have, size_t n_args, const flt_attention_arg *args); // after the check
const double *flt_att_new_values(const char *name, size_t n_args, const flt_attention_arg *args);   // NULL: stays

// to, in the array's shape, = sums [B H, count] over the batch, and over the heads where the array is shared.
void flt_att_gather(const flt_att_array *shape, size_t BH, size_t H, const double *sums, double *to);

// Appends the array to a list of draws when it is there.
void flt_att_list(const flt_att_array *a, size_t max, flt_attention_arg *out, size_t *n);

// The size that an argument brought (0: none), or the parameter's. FLTE_USAGE when both were given and differ.
flt_err flt_att_size(const flt_attention_desc *desc, const char *param, size_t from_args, size_t *out);

// ---- positions
typedef struct flt_att_positions {
    flt_att_array array; // "pos" [N, l], shared; 0 .. N-1 when it was not given
    size_t l;
    bool given, spaced; // spaced: l = 1 and r_i = r_0 + i step, up to rounding
    double step;
} flt_att_positions;

flt_err flt_att_positions_read(const flt_attention_desc *desc, flt_att_positions *out);

// Position of token `index` in a stream: the table's, beyond it the default sequence goes on and a given table stays at its end.
void flt_att_position(const flt_att_positions *p, size_t n, size_t index, double *out);

#endif
