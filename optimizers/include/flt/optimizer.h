// SPDX-License-Identifier: MIT
// Optimizers, hand-designed and learned, behind one interface. One kind per file in optimizers/.
//
// A learned optimizer has meta-parameters theta: named tensors in one flat vector, laid out by `meta`. The state of a run is one
// flat array as well, so that saving, loading and comparing it needs no code per kind.
#ifndef FLTX_OPTIMIZER_H
#define FLTX_OPTIMIZER_H

#include "flt/objective.h"
#include "flt/params.h"
#include "flt/registry.h"
#include "flt/tensorfile.h"

FLTX_BEGIN_DECLS

enum { FLTX_OPT_LEARNED = 1u << 0, FLTX_OPT_LR = 1u << 1 /* has the parameter "lr" */ };

struct flt_graph_step; // engine/graph_step.h

typedef struct flt_optimizer_kind {
    flt_kind kind;
    // ---- learned optimizers only, else NULL
    flt_err (*meta)(const flt_params *p, flt_layout *theta);                // names and shapes of the meta-parameters
    void (*meta_init)(const flt_params *p, uint64_t seed, flt_real *theta); // near a sane optimizer
    flt_err (*infer)(const flt_tensors *weights, flt_params *p);            // sets sizes (heads, m, ..) from a weight file
    flt_err (*graph)(const flt_params *p, struct flt_graph_step *s);        // one step as a graph; NULL: no gradient through it
    // ---- all
    flt_err (*create)(const flt_params *p, const flt_layout *layout, void **self); // layout is copied
    void (*destroy)(void *self);
    size_t (*state_words)(const void *self);
    void (*init)(void *self, flt_real *state);       // the state at t = 0
    void (*bind)(void *self, const flt_real *theta); // learned: called whenever theta changes
    // Optional: how many steps the run has, 0 where that is not known.
    void (*horizon)(void *self, uint64_t steps);
    // One step in place: param [P], state [state_words]. t = 0 at the first. grad is not written. Allocates nothing.
    void (*step)(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state);
} flt_optimizer_kind;

const flt_registry *flt_optimizer_registry(void);
flt_err flt_optimizer_find(const char *name, const flt_optimizer_kind **out);

typedef struct flt_optimizer flt_optimizer; // a kind planned for a layout; used by one thread at a time

// Errors: FLTE_NAME, FLTE_RANGE, FLTE_UNSUPPORTED, FLTE_NOMEM. params NULL: defaults.
flt_err flt_optimizer_create(const flt_optimizer_kind *kind, const flt_params *params, const flt_layout *layout,
                             flt_optimizer **out);
void flt_optimizer_destroy(flt_optimizer *o);
size_t flt_optimizer_state_words(const flt_optimizer *o); // how many flt_real a state has; fixed by kind, parameters and layout
// Arithmetic of one step with parameters of the kind, as the method counts it (engine/flops.c has the table). NaN: not known.
double flt_optimizer_flops(const flt_optimizer_kind *kind, const flt_params *params, const flt_layout *layout);
void flt_optimizer_init(flt_optimizer *o, flt_real *state); // state [state_words] of t = 0
// Takes theta [total of the kind's meta] over into tables of its own: again whenever theta changes. Nothing for hand-designed
// ones.
void flt_optimizer_bind(flt_optimizer *o, const flt_real *theta);
// How many steps the run has whose step comes next, 0 (as after create) where that is not known: kinds with a schedule of their
// own (flt) end it there unless they were given a `total`; others take no notice. It is not part of the state.
void flt_optimizer_horizon(flt_optimizer *o, uint64_t steps);
// One step in place: grad [P], of the loss at param [P]; state [state_words], as init or the step before left it. t = 0 at the
// first. Learned kinds are bound first. Allocates nothing; denormal numbers count as 0 within.
void flt_optimizer_step(flt_optimizer *o, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state);

// ---- weights of learned optimizers as safetensors files: one tensor per meta-parameter, hyperparameters in the metadata.
typedef struct flt_weights {
    const flt_optimizer_kind *kind;
    flt_params *params;
    flt_layout layout;
    flt_real *theta; // [layout.total]
} flt_weights;

// Starts from `params` (may be NULL), lets metadata and tensor shapes override sizes, checks every shape and value. Extra
// tensors are an error that names them. path NULL: meta_init(seed). Errors: those of reading tensor files and of parameters,
// FLTE_SHAPE, FLTE_NUMERIC, FLTE_USAGE (parameters of another kind, options that the file contradicts), FLTE_UNSUPPORTED (a path,
// but the kind is not learned). *out is {0} then.
flt_err flt_weights_load(const flt_optimizer_kind *kind, const flt_params *params, const char *path, uint64_t seed,
                         flt_weights *out);
flt_err flt_weights_save(const flt_weights *w, const char *path); // FLTE_UNSUPPORTED: not learned; FLTE_IO, FLTE_NOMEM
void flt_weights_free(flt_weights *w);                            // leaves {0}

// ---- the state of a run after t steps as a file: a run that goes on from it takes the same path, bit for bit. `words`:
// flt_optimizer_state_words; `layout`: what the optimizer was created for.
flt_err flt_state_save(const flt_weights *w, const flt_layout *layout, size_t words, uint64_t t, const flt_real *state,
                       const char *path);
// FLTE_USAGE when the file is of another optimizer, other tensors or another choice (as memory=..); FLTE_FORMAT, FLTE_SHAPE;
// FLTE_UNSUPPORTED when it was written in the other precision. *t and state are unspecified then.
flt_err flt_state_load(const flt_weights *w, const flt_layout *layout, size_t words, const char *path, uint64_t *t,
                       flt_real *state);

FLTX_END_DECLS

#endif
