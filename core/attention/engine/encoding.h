// SPDX-License-Identifier: MIT
// The relative positional encoding of an attention plan: one encoding or a sum of them. Private to core/attention.
//
// A sum is written rpe=A+B, at most MAX_TERMS of them: f and g add up. Its arguments keep their plain names where only one of the
// terms takes them; where several do, each says whose it is: `box.c`, `ball.c`, and `box2.c` for the second box of a sum. The
// long form is always understood.
#ifndef FLTX_ATTENTION_ENCODING_H
#define FLTX_ATTENTION_ENCODING_H

#include "args.h"

// The parameter that chooses the encoding, for the tables of mechanisms that take one.
#define FLTX_ATT_RPE_PARAM                                                                                                       \
    {                                                                                                                            \
        "rpe", FLTX_TEXT, "auto", 0, 0, NULL,                                                                                    \
            "relative positional encoding by name; A+B: a sum, whose shared argument names become A.c, B.c; auto: the one "      \
            "whose arguments are given"                                                                                          \
    }

// The names of the arguments of every encoding, for lists of valid names.
#define FLTX_ATT_RPE_ARGS "w", "mu", "s2", "c", "v", "scale", "slope", "decay", "band", "buckets", "max_distance", "lag_bias"
enum { FLTX_ATT_N_RPE_ARGS = 12, FLTX_ATT_MAX_TERMS = 4 };

typedef struct flt_att_term {
    const flt_rpe_kind *kind;
    char label[32];                           // "box", "box2"
    flt_att_array given[FLTX_ATT_N_RPE_ARGS]; // in the order of FLTX_ATT_RPE_ARGS; defaults are filled in
    char names[FLTX_ATT_N_RPE_ARGS][48];      // as the plan calls them
    bool setting[FLTX_ATT_N_RPE_ARGS];        // no gradient
} flt_att_term;

typedef struct flt_att_encoding {
    char name[128]; // for sentences
    size_t terms;   // 0: neither named nor implied by the arguments
    bool named;     // by the parameter
    size_t l, H;
    flt_att_term term[FLTX_ATT_MAX_TERMS];
} flt_att_encoding;

// FLTE_NAME unless every argument of the description is one of `own` (ends with NULL) or may belong to an encoding.
flt_err flt_att_encoding_args_known(const flt_attention_desc *desc, const char *const *own);

// Whether `lag_bias` came without an encoding's name and another's argument: then it goes by index, whatever the positions are.
bool flt_att_lags_alone(const flt_attention_desc *desc);

// Chooses the encoding, reads its arguments and checks them for every head and against the positions. *out may be half-built on
// failure: drop it all the same; it keeps its address. Errors: FLTE_NAME, FLTE_SHAPE, FLTE_RANGE, FLTE_NUMERIC, FLTE_USAGE.
flt_err flt_att_encoding_read(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_encoding *out);
void flt_att_encoding_drop(flt_att_encoding *e);
flt_rpe_args flt_att_encoding_args(const flt_att_encoding *e, size_t term, size_t head);
bool flt_att_encoding_zero(const flt_att_encoding *e);   // f = 0: nothing, or `none`
bool flt_att_encoding_shared(const flt_att_encoding *e); // the same for all heads
void flt_att_encoding_list(const flt_att_encoding *e, size_t max, flt_attention_arg *out, size_t *n);

// ---- values
// f [n] at offsets z [n, l].
void flt_att_encoding_closed_form(const flt_att_encoding *e, size_t head, size_t n, const double *z, double *f);
// f on N positions `step` apart: lags [2N - 1] with f(r_i - r_j) at (j - i) + N - 1. Needs l = 1.
void flt_att_encoding_lags(const flt_att_encoding *e, size_t head, size_t N, double step, double *lags);

// ---- new values of its arguments
void flt_att_encoding_arrays(flt_att_encoding *e, flt_att_arrays *to); // appends those that an update may name
// The same encoding with new values, which it borrows; checked by check.
flt_att_encoding flt_att_encoding_with(const flt_att_encoding *e, size_t n_args, const flt_attention_arg *args);
flt_err flt_att_encoding_check(const flt_att_encoding *e);

// ---- gradients of its arguments
// Engines add them up flat: `size` numbers a head (0: nothing has a gradient), over whatever needs adding up.
size_t flt_att_encoding_size(const flt_att_encoding *e);
// sums [size] += sum_i df_i df(z_i)/da for every argument a of one head; of the 2N - 1 lags; of one term's spectrum. dxi: see
// flt_rpe_slots.
void flt_att_encoding_back(const flt_att_encoding *e, size_t head, size_t n, const double *z, const double *df, double *sums);
void flt_att_encoding_lags_back(const flt_att_encoding *e, size_t head, size_t N, double step, const double *dlags, double *sums);
void flt_att_encoding_spectrum_back(const flt_att_encoding *e, size_t term, size_t head, size_t r, const double *xi,
                                    const double *dg, double *sums, double *dxi);
// The arguments that have one, for flt_att_gradients_known; and the gradient of one from the sums [H, size]: false when it is not
// the encoding's.
void flt_att_encoding_names(const flt_att_encoding *e, size_t max, const char **names, size_t *n);
bool flt_att_encoding_gather(const flt_att_encoding *e, const char *name, const double *sums, double *to);

#endif
