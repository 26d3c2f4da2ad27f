// SPDX-License-Identifier: MIT
// Objectives: where tasks and optimizers meet. An objective is a loss over a list of named tensors held in one flat vector, with
// minibatches addressed by (seed, split, step): nothing is hidden in state, so runs resume and repeat bit for bit.
#ifndef FLTX_OBJECTIVE_H
#define FLTX_OBJECTIVE_H

#include "flt/error.h"

FLTX_BEGIN_DECLS

// One tensor of a flat parameter vector.
typedef struct flt_tensor_spec {
    char name[64];
    size_t rank; // 0 for a scalar (one element)
    size_t dim[FLTX_MAX_RANK];
    size_t offset, count; // in the flat vector
} flt_tensor_spec;

typedef struct flt_layout {
    size_t n;                // tensors
    size_t total;            // P: sum of counts
    flt_tensor_spec *tensor; // [n]
} flt_layout;

// Appends a tensor, behind those that are there; {0} is the empty layout. Name and lengths are copied. Errors, after which it is
// as it was: FLTE_USAGE (a name that is there), FLTE_RANGE (rank above FLTX_MAX_RANK, a name above 63 bytes, sizes that
// overflow), FLTE_NOMEM.
flt_err flt_layout_add(flt_layout *l, const char *name, size_t rank, const size_t *dim);
flt_err flt_layout_copy(const flt_layout *from, flt_layout *to); // what `to` held is not freed; {0} on failure (FLTE_NOMEM)
void flt_layout_free(flt_layout *l);                             // leaves {0}
const flt_tensor_spec *flt_layout_find(const flt_layout *l, const char *name); // NULL when absent

typedef enum flt_split { FLTX_TRAIN, FLTX_VALID, FLTX_TEST } flt_split;

typedef struct flt_batch {
    uint64_t seed;
    flt_split split;
    uint64_t step; // which minibatch
} flt_batch;

typedef struct flt_objective flt_objective;
struct flt_objective {
    void *self;
    char spec[256]; // how to make it again: "digits_mlp:width=32,batch=64"
    flt_layout layout;
    double clip_loss;  // losses above it count as this in meta-training; e.g. 1.5 log(classes)
    double normaliser; // typical loss at initialisation: divides losses so that tasks compare
    bool has_minimum;  // `minimum` is the known least loss
    double minimum;
    const char *metric;        // name of the second number of `evaluate` ("accuracy"), NULL: none
    const char *baseline_name; // what a simple method ("order-2 byte model") reaches in the metric on the test split; NULL: none
    double baseline;
    // Initial parameters from a seed. theta [P].
    void (*init)(void *self, uint64_t seed, flt_real *theta);
    // Loss and gradient on one minibatch; grad may be NULL. Loss and gradient may be infinite or NaN where theta is: callers
    // guard.
    flt_real (*gradient)(void *self, flt_batch batch, const flt_real *theta, flt_real *grad);
    // Hessian of the minibatch loss times v, both [P].  NULL when the task has none.
    void (*hessian_vector)(void *self, flt_batch batch, const flt_real *theta, const flt_real *v, flt_real *hv);
    // Loss and metric over a whole split (finite data), or over a fixed number of minibatches of it. metric may be NULL.
    void (*evaluate)(void *self, uint64_t seed, flt_split split, const flt_real *theta, flt_real *loss, flt_real *metric);
    void (*destroy)(void *self);
    // What `gradient` costs beside arithmetic and the making of the minibatch, done alone: inputs and outputs are bound, each
    // node of the graph is one call of an empty function. For benchmarks. NULL: not known.
    void (*idle)(void *self, const flt_real *theta, flt_real *grad);
    // Multiplications and additions of one `gradient`, the making of the minibatch left out. For benchmarks. NULL: not known.
    double (*flops)(const void *self);
};

// An object is used by one thread at a time; threads make their own from `spec`.
void flt_objective_destroy(flt_objective *o); // NULL is fine; frees the layout and the object itself

// How to make an objective from its spec string, given to meta-training and evaluation by the program.
typedef flt_err (*flt_objective_maker)(const char *spec, flt_objective **out);

FLTX_END_DECLS

#endif
