// SPDX-License-Identifier: MIT
// The relative positional encoding of an attention plan. Private to core/attention.
#ifndef FLTX_ATTENTION_ENCODING_H
#define FLTX_ATTENTION_ENCODING_H

#include "args.h"

// The parameter that chooses the encoding, for the tables of mechanisms that take one.
#define FLTX_ATT_RPE_PARAM                                                                                                       \
    { "rpe", FLTX_TEXT, "auto", 0, 0, NULL, "relative positional encoding by name; auto: the one whose arguments are given" }

// The names of the arguments of every encoding, for lists of valid names.
#define FLTX_ATT_RPE_ARGS "w", "mu", "s2", "c", "v", "scale", "slope", "decay", "band", "buckets", "max_distance", "lag_bias"
enum { FLTX_ATT_N_RPE_ARGS = 12 };

typedef struct flt_att_encoding {
    const flt_rpe_kind *kind; // NULL: neither named nor implied by the arguments
    bool named;               // by the parameter
    size_t l;
    flt_att_array given[FLTX_ATT_N_RPE_ARGS]; // in the order of FLTX_ATT_RPE_ARGS
} flt_att_encoding;

// Chooses the encoding, reads its arguments and checks them for every head and against the positions. *out may be half-built on
// failure: drop it all the same. Errors: FLTE_NAME, FLTE_SHAPE, FLTE_RANGE, FLTE_NUMERIC, FLTE_USAGE (foreign arguments).
flt_err flt_att_encoding_read(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_encoding *out);
void flt_att_encoding_drop(flt_att_encoding *e);
flt_rpe_args flt_att_encoding_args(const flt_att_encoding *e, size_t head);
bool flt_att_encoding_shared(const flt_att_encoding *e); // the same for all heads
void flt_att_encoding_list(const flt_att_encoding *e, size_t max, flt_attention_arg *out, size_t *n);

#endif
