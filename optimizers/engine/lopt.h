// SPDX-License-Identifier: MIT
// What mlp_lopt, small_fc_lopt and celo2 share: features of every coordinate, normalised over the tensor, through one network.
#ifndef FLTX_OPTIMIZERS_LOPT_H
#define FLTX_OPTIMIZERS_LOPT_H

#include "engine/mlp.h"
#include "flt/memory.h"
#include "flt/optimizer.h"
#include "kernels/lopt.h"

typedef enum flt_lopt_features {
    FLTX_MEANS,  // [g, p, m 6], decays 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999
    FLTX_ADAFAC, // 28: see small_fc_lopt.c
    FLTX_CELO2,  // 30: see celo2.c
} flt_lopt_features;

typedef struct flt_lopt_form {
    flt_lopt_features features;
    size_t count;         // of features
    size_t shared;        // inputs that follow them and are the same for every coordinate; FLTX_TIMES: tanh(t / tau - 1)
    size_t outputs, pass; // of the network; the feature that an untrained one passes on
    double eps;           // of the normalisation
    bool whole;           // the features of a whole tensor are wanted at once: flt_lopt_inputs
} flt_lopt_form;

typedef struct flt_lopt_plan {
    flt_lopt_shape shape;
    bool factored;
    size_t offset, state;        // of the tensor in the parameters, in the state
    size_t lines;                // offset of row and column moments behind `state`
    size_t groups, *row_group;   // rows that are averaged with each other; [rows]
    size_t row_count, col_count; // coordinates of a row, of a column
} flt_lopt_plan;

typedef struct flt_lopt_base {
    const flt_lopt_form *form;
    flt_layout layout;
    flt_mlp mlp;
    flt_lopt_plan *plans;      // [layout.n]
    size_t *index;             // row_at, col_at and row_group of all tensors
    size_t words, ld, longest; // state; largest padded tensor, largest rows + cols
    const flt_lopt *kernels;
    flt_ws ws;
    flt_real *theta;   // a copy
    flt_real *f, *out; // [features, ld, but a tile's at most unless form->whole], [2, ld]
    double *inverse;   // [features]: 1 / root mean square over the tensor
    flt_real *w0, *b0; // the first layer with normalisation and what is shared in it
    flt_real *lines;   // [3 decays, 4, longest]
    flt_real *sums;    // [longest]
} flt_lopt_base;

flt_err flt_lopt_meta(const flt_lopt_form *form, const flt_params *p, flt_layout *theta);
void flt_lopt_meta_init(const flt_lopt_form *form, const flt_params *p, uint64_t seed, flt_real *theta);

// *self: a zeroed struct of `size` bytes that begins with its flt_lopt_base.
flt_err flt_lopt_create(const flt_lopt_form *form, const flt_params *p, const flt_layout *layout, size_t size, void *self);
void flt_lopt_destroy(void *self); // NULL is fine
size_t flt_lopt_words(const void *self);
void flt_lopt_init(void *self, flt_real *state);
void flt_lopt_bind(void *self, const flt_real *theta);

// Updates the state of tensor i, which is not empty, and leaves its features in f, their normalisers in inverse. form->whole.
void flt_lopt_inputs(flt_lopt_base *o, size_t i, const flt_real *grad, const flt_real *param, flt_real *state);
// The network's first two outputs [2, ld] on those features; shared [form->shared].
const flt_real *flt_lopt_network(flt_lopt_base *o, size_t i, const flt_real *shared);
// Both, for a large tensor tile by tile: its features are computed twice, and never leave the caches. NULL where it is empty.
const flt_real *flt_lopt_outputs(flt_lopt_base *o, size_t i, uint64_t t, const flt_real *grad, const flt_real *param,
                                 flt_real *state);
// ---- the classic rule, p -= lr step_mult D exp(0.001 M): mlp_lopt and small_fc_lopt

typedef struct flt_lopt_classic {
    flt_lopt_base base;
    double rate; // lr step_mult
} flt_lopt_classic;

// A kind's own form, behind the signatures of flt_optimizer_kind.
#define FLTX_LOPT_META(name, form)                                                                                               \
    static flt_err meta(const flt_params *p, flt_layout *theta) {                                                                \
        return flt_lopt_meta(&(form), p, theta);                                                                                 \
    }                                                                                                                            \
    static void meta_init(const flt_params *p, uint64_t seed, flt_real *theta) {                                                 \
        flt_lopt_meta_init(&(form), p, seed, theta);                                                                             \
    }                                                                                                                            \
    static flt_err infer(const flt_tensors *weights, flt_params *p) {                                                            \
        return flt_mlp_infer(name, weights, p);                                                                                  \
    }

#define FLTX_LOPT_CLASSIC_PARAMS                                                                                                 \
    FLTX_MLP_PARAMS("32"), {"step_mult", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "multiplies every step (0.01 in later work)"}, {    \
        "lr", FLTX_REAL, "1", 0.0, 1e6, NULL, "multiplies every step once more: 1 as meta-trained, to be tuned at use"           \
    }

flt_err flt_lopt_classic_create(const flt_lopt_form *form, const flt_params *p, const flt_layout *layout, void **self);
void flt_lopt_classic_step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state);

#endif
