// SPDX-License-Identifier: MIT
// Computation graphs: build once, plan the memory, run many times without allocating. Gradients are graphs themselves, so the
// gradient of a gradient is exact. One op per file in core/graph/.
//
// Equal applications of an op are one node. Executors run a simplified copy (constants computed, neutral operations dropped,
// transposes as flags of products), so that a graph may be written plainly. All axes have length 1 or more.
//
// Builders return a node; after an error they return a bad node, later builders pass it on, and the first sentence is returned
// by flt_graph_status and flt_exec_create: a model is written without a check per line.
#ifndef FLTX_GRAPH_H
#define FLTX_GRAPH_H

#include "flt/registry.h"

FLTX_BEGIN_DECLS

typedef struct flt_graph flt_graph;
typedef struct flt_exec flt_exec;
typedef struct flt_node {
    int32_t id; // negative: bad
} flt_node;

flt_err flt_graph_create(flt_graph **out);
void flt_graph_destroy(flt_graph *g);
flt_err flt_graph_status(const flt_graph *g); // first error of a builder; its sentence is put back into flt_error()

// ---- leaves
flt_node flt_input(flt_graph *g, const char *name, size_t rank, const size_t *dim);        // bound at run time; name is copied
flt_node flt_constant(flt_graph *g, size_t rank, const size_t *dim, const flt_real *data); // data is copied
flt_node flt_scalar(flt_graph *g, double x);                                               // rank 0

// ---- shape of a node
size_t flt_node_rank(const flt_graph *g, flt_node x);
const size_t *flt_node_dim(const flt_graph *g, flt_node x);
size_t flt_node_count(const flt_graph *g, flt_node x);

// ---- ops. Arithmetic broadcasts as NumPy does (trailing axes aligned, length 1 stretches).
flt_node flt_add(flt_graph *g, flt_node a, flt_node b);
flt_node flt_sub(flt_graph *g, flt_node a, flt_node b);
flt_node flt_mul(flt_graph *g, flt_node a, flt_node b);
flt_node flt_div(flt_graph *g, flt_node a, flt_node b);
flt_node flt_scale(flt_graph *g, flt_node a, double factor); // factor * a
flt_node flt_offset(flt_graph *g, flt_node a, double term);  // a + term
flt_node flt_neg(flt_graph *g, flt_node a);
flt_node flt_exp(flt_graph *g, flt_node a);
flt_node flt_log(flt_graph *g, flt_node a);
flt_node flt_sqrt(flt_graph *g, flt_node a);
flt_node flt_square(flt_graph *g, flt_node a);
flt_node flt_tanh(flt_graph *g, flt_node a);
flt_node flt_sigmoid(flt_graph *g, flt_node a);
flt_node flt_relu(flt_graph *g, flt_node a);          // derivative 0 at 0; NaN stays NaN
flt_node flt_step_function(flt_graph *g, flt_node a); // Heaviside: 1 where a > 0, else 0; zero gradient
flt_node flt_gelu(flt_graph *g, flt_node a);          // a Phi(a), Phi by erf
flt_node flt_sin(flt_graph *g, flt_node a);
flt_node flt_cos(flt_graph *g, flt_node a);
flt_node flt_matmul(flt_graph *g, flt_node a, flt_node b, bool ta, bool tb); // [.., m, k] [.., k, n]; leading axes equal, or one
                                                                             // side has rank 2 and is shared by the batch
flt_node flt_reduce_sum(flt_graph *g, flt_node a, unsigned axes, bool keep); // axes: bit i = axis i; keep: length-1 axes stay
flt_node flt_reduce_mean(flt_graph *g, flt_node a, unsigned axes, bool keep);
flt_node flt_sum_all(flt_graph *g, flt_node a);  // rank 0
flt_node flt_mean_all(flt_graph *g, flt_node a); // rank 0
flt_node flt_broadcast(flt_graph *g, flt_node a, size_t rank, const size_t *dim);
flt_node flt_reshape(flt_graph *g, flt_node a, size_t rank, const size_t *dim);
flt_node flt_transpose(flt_graph *g, flt_node a, const size_t *axes /* [rank] */); // axis i of the result is axes[i] of a
flt_node flt_concat(flt_graph *g, size_t n, const flt_node *parts, size_t axis);
flt_node flt_slice(flt_graph *g, flt_node a, size_t axis, size_t start, size_t length);
flt_node flt_pad(flt_graph *g, flt_node a, size_t axis, size_t before, size_t after); // zeros; the gradient of slice
// im2col: [images, height, width, channels] -> [images, height, width, 9 channels]: the 3 x 3 around each pixel, zeros beyond the
// edges.
flt_node flt_patches_of(flt_graph *g, flt_node a);
// Indices and labels are whole numbers held as flt_real (exact below 2^24 in float); no gradient goes through them. Where one is
// out of range: gather gives a row of NaN, scatter_add leaves the row out, the loss is NaN, accuracy counts a miss.
flt_node flt_gather(flt_graph *g, flt_node table /* [n, ..] */, flt_node index /* [k] */);               // [k, ..]
flt_node flt_scatter_add(flt_graph *g, flt_node rows /* [k, ..] */, flt_node index /* [k] */, size_t n); // [n, ..]
// Mean over the batch of -log softmax(logits)[label]; logits [batch, classes], labels [batch]. Rank 0.
flt_node flt_softmax_cross_entropy(flt_graph *g, flt_node logits, flt_node labels);
flt_node flt_softmax(flt_graph *g, flt_node a); // over the last axis
// Share of rows whose largest logit is at the label; zero gradient. Rank 0.
flt_node flt_accuracy(flt_graph *g, flt_node logits, flt_node labels);

// ---- gradients, as new nodes of the same graph.  y has rank 0; out[i] has the shape of x[i] (zeros where y does not depend on
// it). x: inputs, constants or nodes in between. Errors (FLTE_SHAPE, FLTE_RANGE) stick to the graph as those of builders do.
flt_err flt_gradient(flt_graph *g, flt_node y, size_t n, const flt_node *x, flt_node *out);
// Hessian of y in x times the direction, which does not depend on x: out[i] has the shape of x[i].
flt_err flt_hessian_vector(flt_graph *g, flt_node y, size_t n, const flt_node *x, const flt_node *direction, flt_node *out);

// ---- execution.  Plans buffers for what the outputs need (dead nodes are dropped, buffers are shared, element-wise chains run
// in place); running allocates nothing. The executor keeps its own copy: the graph may be destroyed. Executors of one graph may
// run in different threads. Memory that is bound to an output must not overlap what is bound to inputs. Bind every input that the
// outputs need before running; binding another one does nothing.
// Errors: those of the builders, FLTE_RANGE (no output, or not a node of g), FLTE_NOMEM. An executor belongs to one thread at a
// time.
flt_err flt_exec_create(const flt_graph *g, size_t n, const flt_node *outputs, flt_exec **out);
void flt_exec_destroy(flt_exec *e);
void flt_exec_bind(flt_exec *e, flt_node input, const flt_real *data); // borrowed until bound again; any alignment
void flt_exec_bind_output(flt_exec *e, size_t i, flt_real *data);      // output i is written there; NULL: own buffer
void flt_exec_run(flt_exec *e);
void flt_exec_idle(flt_exec *e);                              // for benchmarks: a run whose every node does nothing
const flt_real *flt_exec_output(const flt_exec *e, size_t i); // of the latest run; stays valid until e is destroyed or bound anew
size_t flt_exec_nodes(const flt_exec *e);                     // nodes run per pass
// Arithmetic of one run: 2 m n k for a product, flt_attention_flops for attention, for any other node one operation for each
// element of the largest array that it reads or makes, none for moving data. NaN: an attention that is not counted.
double flt_exec_flops(const flt_exec *e);
size_t flt_exec_bytes(const flt_exec *e); // planned buffers

// ---- the op family
enum { FLTX_OP_SMOOTH = 1u << 0, FLTX_OP_INDEX = 1u << 1 }; // differentiable; takes an index argument
const flt_registry *flt_op_registry(void);

FLTX_END_DECLS

#endif
