// SPDX-License-Identifier: MIT
// A task's model for one number of rows, ready to run: executors of the loss, the gradient and the Hessian-vector product, and
// the arrays of the minibatch.
#ifndef FLTX_PROGRAM_H
#define FLTX_PROGRAM_H

#include "engine/graph_task.h"

// What flt_task_tensor and flt_task_input collect.
typedef struct flt_task_parts {
    flt_err err;         // first failure
    flt_layout layout;   // the tensors
    flt_task_init *init; // [layout.n]
    flt_node *tensor;    // [layout.n]
    size_t n_inputs;
    flt_node *input; // [n_inputs]
} flt_task_parts;

typedef struct flt_program {
    size_t rows;
    flt_task_parts parts;
    flt_node *direction; // [layout.n]
    flt_real **data;     // [n_inputs]: the minibatch
    bool has_metric;
    flt_exec *loss;     // outputs: loss, metric
    flt_exec *gradient; // outputs: loss, gradient of each tensor; NULL in programs that only evaluate
    flt_exec *hessian;  // outputs: H v of each tensor; NULL also where the model has first derivatives alone
    struct {            // the flat vectors that the executors are bound to
        const flt_real *loss, *theta, *grad, *hessian, *v, *hv;
    } bound;
} flt_program;

// Builds the model for `rows` rows; *facts receives what `build` set (its graph and parts are gone). `differentiate`: with
// gradient and Hessian. *out is destroyable after a failure.
flt_err flt_program_create(const flt_graph_task *kind, void *self, size_t rows, bool differentiate, flt_program *out,
                           flt_task_model *facts);
void flt_program_destroy(flt_program *p); // a zeroed program is fine

// Each runs on the minibatch in p->data.
void flt_program_loss(flt_program *p, const flt_real *theta, flt_real *loss, flt_real *metric /* NULL: not wanted */);
flt_real flt_program_gradient(flt_program *p, const flt_real *theta, flt_real *grad);
void flt_program_idle(flt_program *p, const flt_real *theta, flt_real *grad); // a gradient whose nodes do nothing
void flt_program_hessian(flt_program *p, const flt_real *theta, const flt_real *v, flt_real *hv);

#endif
