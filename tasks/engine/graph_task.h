// SPDX-License-Identifier: MIT
// Tasks on the computation graph: a task file gives a model and the numbers of a minibatch, this gives the objective (loss, exact
// gradient, exact Hessian-vector product, evaluation over a split).
//
// A task file is: a parameter table, a flt_graph_task, a flt_task_kind whose create calls flt_graph_task_create. See
// tasks/rosenbrock.c for the shortest.
#ifndef FLTX_GRAPH_TASK_H
#define FLTX_GRAPH_TASK_H

#include "flt/graph.h"
#include "flt/objective.h"
#include "flt/params.h"

// Initial values of a tensor: mean + std N(0, 1), keyed by (seed, the tensor's name), with value [count] in place of the mean
// where it is given.
typedef struct flt_task_init {
    double mean, std;
    const double *value; // NULL: none; copied
} flt_task_init;

// A model under construction. `build` reads rows and graph and sets the rest.
typedef struct flt_task_model {
    flt_graph *graph;
    size_t rows;     // examples in a minibatch: the parameter "batch", 1 without it; other numbers for evaluation
    flt_node loss;   // rank 0
    flt_node metric; // rank 0; left alone: none
    const char *metric_name;
    const char *baseline_name; // a simple method, and its metric on the test split; NULL: none
    double baseline;
    double normaliser; // typical loss at initialisation; default 1
    double clip_loss;  // default 4 normaliser
    bool has_minimum;
    double minimum;
    bool first_order;             // no Hessian-vector products are planned
    struct flt_task_parts *parts; // the engine's
} flt_task_model;

// A tensor of the parameters. Order of calls = order in the flat vector; equal for every `rows`.
flt_node flt_task_tensor(flt_task_model *m, const char *name, size_t rank, const size_t *dim, flt_task_init init);
// An array that `batch` and `examples` fill, in the order of these calls.
flt_node flt_task_input(flt_task_model *m, const char *name, size_t rank, const size_t *dim);

// Keeps the first failure of a build; returns a bad node.
flt_node flt_task_fail(flt_task_model *m, flt_err err);

// Consecutive examples of a finite split.
typedef struct flt_task_rows {
    uint64_t seed;
    flt_split split;
    size_t first, rows;
} flt_task_rows;

// What a task file gives. Optional functions are NULL. Only `open` may fail; `batch` and `examples` allocate nothing and are pure
// functions of their arguments.
typedef struct flt_graph_task {
    size_t size;                                      // of the task's own state, zeroed
    flt_err (*open)(void *self, const flt_params *p); // optional; p lives until the last `build`
    void (*close)(void *self);                        // optional; also after a failed open
    void (*build)(void *self, flt_task_model *m);     // called for several numbers of rows; errors stay in the graph
    void (*batch)(void *self, flt_batch which, size_t rows, flt_real *const *in); // NULL: the model has no inputs
    // Finite splits: their sizes, and their examples as they are. NULL: evaluation averages FLTX_TASK_EVAL_BATCHES minibatches.
    size_t (*split_rows)(void *self, flt_split split);
    void (*examples)(void *self, flt_task_rows which, flt_real *const *in);
    size_t eval_rows;                                         // evaluated at a time; 0: FLTX_TASK_EVAL_ROWS
    void (*init)(void *self, uint64_t seed, flt_real *theta); // optional: in place of the tensors' flt_task_init
} flt_graph_task;

enum { FLTX_TASK_EVAL_BATCHES = 16, FLTX_TASK_EVAL_ROWS = 256, FLTX_TASK_EVAL_TOKEN_ROWS = 32 /* of sequences */ };

// The flt_task_kind's create. After a failure *out holds nothing.
flt_err flt_graph_task_create(const flt_graph_task *kind, const flt_params *p, flt_objective *out);

#endif
