// SPDX-License-Identifier: MIT
// Attention mechanisms: plan once, run many times. One kind per file in core/attention/.
//
// Letters: B batch, H heads, N queries = keys, d head width, dv value width, l position dimension, r frequencies, m kernel
// features. Layout [B, H, N, d], row-major. q, k [B, H, N, d]; v, out [B, H, N, dv].
#ifndef FLTX_ATTENTION_H
#define FLTX_ATTENTION_H

#include "flt/params.h"
#include "flt/random.h"
#include "flt/registry.h"
#include "flt/rpe.h"

FLTX_BEGIN_DECLS

// A named argument array of a mechanism ("omega" [m, D], "xi" [r, l], "bias" [N, N]): shared by the heads, or one per head with
// H leading. Held in double so that positions and frequencies keep their digits; plans convert once at creation.
typedef struct flt_attention_arg {
    const char *name;
    size_t rank;
    size_t dim[FLTX_MAX_RANK];
    const double *data;
} flt_attention_arg;

typedef struct flt_attention_desc {
    const char *mechanism;
    size_t B, H, N, d, dv;
    bool causal;
    size_t n_args;
    const flt_attention_arg *args; // borrowed during create; "pos" [N, l] among them (default 0 .. N-1) where there is a place
                                   // for it: performer checks its shape and goes on without, linear and the mixing ones refuse it
    const flt_params *params;      // NULL: defaults of the mechanism
    uint64_t seed;                 // draws what args do not give
    int threads;                   // over heads and blocks; 0: 1. The output's bits do not depend on it.
    bool backward;                 // plan flt_attention_backward as well
} flt_attention_desc;

// The gradient with respect to an argument, by its name in flt_attention_draws and in that array's shape: summed over the batch,
// and over the heads where the argument is shared. Overwritten.
typedef struct flt_attention_gradient {
    const char *name;
    double *data;
} flt_attention_gradient;

// One backward pass: gradients of sum(dout o out) with respect to the inputs of the forward pass that gave `out`. Shapes as those
// of the inputs and of out. Mechanisms that mix one input read q and dout and write dq: k, v and out may be NULL, and dk and dv,
// which are zeroed where they are there.
typedef struct flt_attention_pass {
    const flt_real *q, *k, *v, *out, *dout;
    flt_real *dq, *dk, *dv; // overwritten; overlap nothing else
    size_t n_args;
    const flt_attention_gradient *args;
} flt_attention_pass;

typedef struct flt_attention flt_attention; // opaque plan

enum { // capability bits
    FLTX_ATT_CAUSAL = 1u << 0,
    FLTX_ATT_STREAM = 1u << 1,     // begin / step in constant state
    FLTX_ATT_RPE = 1u << 2,        // takes a relative positional encoding
    FLTX_ATT_RANDOM = 1u << 3,     // estimates by random features
    FLTX_ATT_LINEAR = 1u << 4,     // O(N) time and memory
    FLTX_ATT_EXACT = 1u << 5,      // computes softmax attention itself: held against the oracle directly
    FLTX_ATT_NORMALISED = 1u << 6, // rows of weights sum to one: V of ones gives ones
    FLTX_ATT_PERMUTE = 1u << 7,    // without positions: invariant to permuting keys with values
    FLTX_ATT_X = 1u << 8,          // takes one input x [B, H, N, d] as q, k and v at once
    FLTX_ATT_MIXING = 1u << 9,     // takes x alone: forward reads q and ignores k and v; dv = d; need not be linear
    FLTX_ATT_BACKWARD = 1u << 10,  // has a backward pass
    // takes encodings by their closed form, those without a spectrum as well
    FLTX_ATT_CLOSED_FORM = 1u << 11,
    FLTX_ATT_SIGNED = 1u << 12, // weights may be negative: an output may leave the hull of v
};

typedef struct flt_attention_kind {
    flt_kind kind;
    // Validates, draws what is missing, converts, plans, cuts the workspace. Everything that can fail fails here.
    flt_err (*create)(const flt_attention_desc *desc, void **self);
    void (*destroy)(void *self);
    // Allocates nothing. q, k and v must not overlap out.
    void (*forward)(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
    // Streaming, NULL when the bit is clear. One token for all B x H: q, k [B, H, d], v, out [B, H, dv]. Positions come from the
    // plan's table while the token's index < N.
    bool (*streams)(const void *self); // optional: false when this plan, by its parameters, has no streaming form after all
    void (*begin)(void *self);
    void (*step)(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
    size_t (*rows)(const void *self);      // optional: rows of out for each batch and head where they are not N
    size_t (*workspace)(const void *self); // bytes of working memory, tables excluded
    size_t (*draws)(const void *self, size_t max, flt_attention_arg *out); // arrays in use, for OUT files; returns their number
    // NULL when the bit is clear. Stateless: recomputes what it needs from the pass. Allocates nothing; fails before it computes
    // when a gradient's name is not one that the plan has.
    flt_err (*backward)(void *self, const flt_attention_pass *pass);
    // Optional. Takes new values of arguments and computes the tables anew, with the bits of a plan that was made with them.
    // Allocates nothing; when it fails the plan is as it was.
    flt_err (*update)(void *self, size_t n_args, const flt_attention_arg *args);
    size_t (*flagged)(const void *self); // optional: see flt_attention_flagged
} flt_attention_kind;

const flt_registry *flt_attention_registry(void);
flt_err flt_attention_find(const char *name, const flt_attention_kind **out);

// Errors: FLTE_NAME (unknown mechanism or argument, with the valid ones), FLTE_SHAPE, FLTE_RANGE, FLTE_UNSUPPORTED (with what
// can), FLTE_NUMERIC (an argument holds a NaN), FLTE_NOMEM.
flt_err flt_attention_create(const flt_attention_desc *desc, flt_attention **out);
void flt_attention_destroy(flt_attention *a);
// q, k [B, H, N, d], v [B, H, N, dv] -> out [B, H, rows, dv], rows as flt_attention_rows says. Allocates nothing; inputs must not
// overlap out. One thread at a time: the plan holds the room it works in.
void flt_attention_forward(flt_attention *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
// Streams: begin, then step for each token, q, k [B, H, d], v, out [B, H, dv]; the outputs are the rows of the causal forward
// pass. A stream may outlast the plan's N: default positions go on, given ones (and spe_conv's) stay at the last.
flt_err flt_attention_begin(flt_attention *a); // FLTE_UNSUPPORTED: the plan is not causal, or the mechanism has no streaming form
void flt_attention_step(flt_attention *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
// Allocates nothing; bits do not depend on threads. FLTE_UNSUPPORTED: the plan was made without `backward`; FLTE_NAME: no
// gradient with respect to an argument of this name (with those that there are).
flt_err flt_attention_backward(flt_attention *a, const flt_attention_pass *pass);
// New values for arguments that the plan uses, by their names and in their shapes of flt_attention_draws: what training of an
// encoding does between two steps. What depends on them (tables, spectra, ratios) is computed anew; draws stay. Allocates
// nothing. FLTE_UNSUPPORTED: the mechanism cannot; FLTE_NAME, FLTE_SHAPE, FLTE_RANGE, FLTE_NUMERIC: the plan is as it was.
flt_err flt_attention_update(flt_attention *a, size_t n_args, const flt_attention_arg *args);
size_t flt_attention_workspace(const flt_attention *a); // bytes of working memory; tables and arguments are not among them
// Multiplications and additions of a forward or a backward pass, as the method counts them (core/attention/engine/flops.c has the
// table); sizes and parameters are desc's. NaN: the mechanism says nothing about its products.
double flt_attention_flops(const flt_attention_desc *desc, bool backward);
// Rows of the latest forward pass (or of the stream since begin) whose denominator could not be trusted as it came: not a
// positive number, lost in rounding, or the row saw no key at all. Such rows are computed another way where there is one (nprf);
// 0 for mechanisms that divide by nothing that can vanish.
size_t flt_attention_flagged(const flt_attention *a);
size_t flt_attention_rows(const flt_attention *a); // of out for each batch and head: N, unless the mechanism shortens
// The arrays that the plan uses (given or drawn), by argument name, at most `max`; data is borrowed from the plan.
size_t flt_attention_draws(const flt_attention *a, size_t max, flt_attention_arg *out);
const flt_attention_kind *flt_attention_kind_of(const flt_attention *a);

// The argument of this name, or NULL.
const flt_attention_arg *flt_attention_arg_find(const flt_attention_desc *desc, const char *name);

FLTX_END_DECLS

#endif
