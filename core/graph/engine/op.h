// SPDX-License-Identifier: MIT
// What one op of the computation graph is; private to core/graph.
//
// A file of an op holds its builder (flt_NAME), shape rule, planner (chooses the function that runs and its sizes, once per
// executor), gradient (as nodes), simplification and examples. An op is a pure function of its inputs and attributes.
#ifndef FLTX_OP_H
#define FLTX_OP_H

#include "../kernels/kernels.h"
#include "flt/graph.h"

typedef struct flt_shape {
    size_t rank, count; // count: product of the lengths
    size_t dim[FLTX_MAX_RANK];
} flt_shape;

// What tells apart two nodes of one op over the same inputs. Hashed byte by byte, hence without padding; unused fields are 0.
typedef struct flt_op_attr {
    double value;               // scale, offset
    size_t axis, start, length; // concat, slice, pad (length: of the result), scatter_add (length: rows of the result)
    size_t rank;                // broadcast, reshape
    size_t dim[FLTX_MAX_RANK];  // broadcast, reshape: the result's; transpose: axis of the input at each axis of the result
    unsigned axes;              // reduce_sum: bit i = axis i
    unsigned flags;             // reduce_sum: keep; matmul: FLTX_MATMUL_*
    const void *spec;           // attention: a flt_attend_spec that the graph owns
} flt_op_attr;

enum { FLTX_MATMUL_TA = 1u << 0, FLTX_MATMUL_TB = 1u << 1, FLTX_REDUCE_KEEP = 1u << 0 };

// One application of an op, as shape rules and planners see it.
typedef struct flt_op_use {
    const char *name; // of the op, for sentences
    size_t n;         // inputs
    const flt_shape *const *in;
    const flt_shape *out; // NULL in the shape rule
    const flt_op_attr *attr;
} flt_op_use;

// One application of an op, as gradients and simplifications see it.
typedef struct flt_op_site {
    size_t n;
    const flt_node *in;
    const flt_op_attr *attr;
    flt_node y, dy; // the node and the gradient with respect to it; only for gradients
} flt_op_site;

// The outer axes of a strided walk; a, b: elements that two operands move by per step of an axis.
typedef struct flt_loop {
    size_t rank;
    size_t dim[FLTX_MAX_RANK], a[FLTX_MAX_RANK], b[FLTX_MAX_RANK];
} flt_loop;

// One entry of the executor's flat program. The planner of the op sets everything but the pointers.
typedef struct flt_step flt_step;
struct flt_step {
    void (*run)(const flt_step *s);
    flt_real *out;
    const flt_real *const *in; // [inputs]
    const size_t *count;       // [inputs], elements of each
    union {
        flt_binary_fn *binary;
        flt_unary_fn *unary;
        flt_vector_fn *vector;
        flt_column_fn *column;
    } f;
    flt_real c;
    size_t n[8];       // sizes, as the op pleases
    flt_real *scratch; // [scratch_count], valid during the step
    size_t scratch_count;
    void *engine; // of the op's spec
    flt_grid grid;
    flt_loop loop;
};

// An input of an example: values uniform in [low, high], at least `kink` away from 0; index > 0: whole numbers 0 .. index - 1,
// not differentiated.
typedef struct flt_op_example_input {
    size_t rank, dim[4];
    double low, high, kink;
    size_t index;
} flt_op_example_input;

enum { FLTX_EXAMPLE_INPUTS = 3 };

typedef struct flt_op_example {
    const char *label;
    size_t n;
    flt_op_example_input in[FLTX_EXAMPLE_INPUTS];
    flt_node (*build)(flt_graph *g, const flt_node *in);
} flt_op_example;

// The ways in which two operands meet, for arithmetic that is smooth everywhere: rows of a table of examples.
#define FLTX_BROADCAST_EXAMPLES(build_)                                                                                          \
    {.label = "equal shapes",                                                                                                    \
     .n = 2,                                                                                                                     \
     .in = {{.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}},                 \
     .build = build_},                                                                                                           \
        {.label = "row",                                                                                                         \
         .n = 2,                                                                                                                 \
         .in = {{.rank = 2, .dim = {3, 4}, .low = -1, .high = 1}, {.rank = 1, .dim = {4}, .low = -1, .high = 1}},                \
         .build = build_},                                                                                                       \
        {.label = "column",                                                                                                      \
         .n = 2,                                                                                                                 \
         .in = {{.rank = 2, .dim = {3, 4}, .low = -1, .high = 1}, {.rank = 2, .dim = {3, 1}, .low = -1, .high = 1}},             \
         .build = build_},                                                                                                       \
        {.label = "scalar on the left",                                                                                          \
         .n = 2,                                                                                                                 \
         .in = {{.rank = 0, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}},                            \
         .build = build_},                                                                                                       \
        {.label = "outer",                                                                                                       \
         .n = 2,                                                                                                                 \
         .in = {{.rank = 2, .dim = {3, 1}, .low = -1, .high = 1}, {.rank = 2, .dim = {1, 4}, .low = -1, .high = 1}},             \
         .build = build_},                                                                                                       \
        {.label = "middle axis",                                                                                                 \
         .n = 2,                                                                                                                 \
         .in = {{.rank = 3, .dim = {2, 1, 3}, .low = -1, .high = 1}, {.rank = 3, .dim = {2, 2, 3}, .low = -1, .high = 1}},       \
         .build = build_},                                                                                                       \
        {.label = "four axes",                                                                                                   \
         .n = 2,                                                                                                                 \
         .in = {{.rank = 4, .dim = {2, 1, 2, 1}, .low = -1, .high = 1}, {.rank = 4, .dim = {1, 3, 1, 2}, .low = -1, .high = 1}}, \
         .build = build_},

enum {
    FLTX_OP_COMMUTES = 1u << 0, // f(a, b) = f(b, a), bit for bit
    FLTX_OP_ALIAS = 1u << 1,    // the result is the input's memory under another shape
    FLTX_OP_LAZY = 1u << 2,     // of constants stays a node: consumers read its input without unfolding it
    FLTX_OP_MOVES = 1u << 3,    // copies elements and computes nothing
};

// What plain memory cannot hold: made once for each spec and executor, out of all the executor's uses of it, and shared by its
// steps. Must not refer to the spec afterwards: an executor outlives its graph.
typedef struct flt_op_engine {
    flt_err (*open)(const void *spec, unsigned uses, void **out);
    void (*close)(void *engine);
} flt_op_engine;

typedef struct flt_op_kind {
    flt_kind kind;
    size_t inputs;     // 0: one or more
    unsigned in_place; // bit k: the result may overwrite input k where their counts agree
    unsigned flags;    // FLTX_OP_COMMUTES ..
    flt_err (*shape)(const flt_op_use *u, flt_shape *out);
    void (*plan)(const flt_op_use *u, flt_step *s);
    // Gradient with respect to input k; flt_none where it is zero. NULL: zero everywhere.
    flt_node (*gradient)(flt_graph *g, const flt_op_site *at, size_t k);
    // An equal node that is cheaper; flt_none: there is none. Used by executors on their own copy of the graph. May be NULL.
    flt_node (*simplify)(flt_graph *g, const flt_op_site *at);
    const flt_op_example *examples; // end with a row whose build is NULL
    const flt_op_engine *engine;    // NULL: none
    unsigned use;                   // this op's bit in the engine's uses
    // Multiplications and additions of one application; NULL: one for each element of the largest array, none for FLTX_OP_MOVES.
    double (*flops)(const flt_op_use *u);
} flt_op_kind;

flt_err flt_op_find(const char *name, const flt_op_kind **out);

static const flt_node flt_bad = {-1}, flt_none = {-2};

// ---- nodes (engine/graph.c, engine/build.c)
// The graph destroys `data` in its own end. When that cannot be arranged it is destroyed at once and the graph has failed.
flt_err flt_graph_own(flt_graph *g, void *data, void (*destroy)(void *));
flt_node flt_op_apply(flt_graph *g, const flt_op_kind *k, size_t n, const flt_node *in, const flt_op_attr *attr);
flt_node flt_op_unary(flt_graph *g, const flt_op_kind *k, flt_node a);
flt_node flt_op_binary(flt_graph *g, const flt_op_kind *k, flt_node a, flt_node b);
// What failed builders return, a bad node; the graph keeps the first sentence. g may be NULL in these three.
flt_node flt_graph_fail(flt_graph *g, flt_err err);
flt_node flt_graph_lacks(flt_graph *g, const char *who, const char *what); // FLTE_USAGE: an argument is NULL
bool flt_graph_failed(const flt_graph *g);
bool flt_node_ok(const flt_graph *g, flt_node x);
const flt_shape *flt_node_shape(const flt_graph *g, flt_node x);
bool flt_node_is(const flt_graph *g, flt_node x, const flt_op_kind *k);
flt_node flt_node_input(const flt_graph *g, flt_node x, size_t k);
const flt_op_attr *flt_node_attr(const flt_graph *g, flt_node x);
bool flt_node_uniform(const flt_graph *g, flt_node x, double *value); // a constant whose elements are all equal
// Runs one op into out. Errors: FLTE_NOMEM for scratch.
flt_err flt_op_evaluate(const flt_op_kind *k, const flt_op_use *u, const flt_real *const *in, flt_real *out);

// ---- shapes (engine/shape.c)
typedef struct flt_shape_label {
    char text[FLTX_MAX_RANK * 22 + 3];
} flt_shape_label;
flt_shape_label flt_shape_text(const flt_shape *s); // "[64, 10]"
flt_err flt_shape_set(const char *who, size_t rank, const size_t *dim, flt_shape *out);
bool flt_shape_equal(const flt_shape *a, const flt_shape *b);
size_t flt_shape_product(const flt_shape *s, size_t from, size_t to); // of the axes from <= i < to
flt_err flt_shape_first(const flt_op_use *u, flt_shape *out);         // rule of unary ops: the first input's
flt_err flt_shape_broadcast(const flt_op_use *u, flt_shape *out);     // rule of binary ops: NumPy's
flt_node flt_sum_like(flt_graph *g, flt_node x, flt_node like);       // sums over the axes along which `like` is stretched

// ---- walks (engine/walk.c)
// Advances index (from zeros) and the offsets of both operands; false at the end. Rank 0: one turn.
bool flt_loop_next(const flt_loop *l, size_t *index, size_t *a, size_t *b);
// The walk over `out` of two operands that broadcast to it, with adjacent axes merged.
void flt_walk_broadcast(const flt_shape *out, const flt_shape *a, const flt_shape *b, flt_grid *grid, flt_loop *loop);
void flt_plan_binary(const flt_op_use *u, flt_step *s, flt_binary_fn *f);
void flt_plan_unary(const flt_op_use *u, flt_step *s, flt_unary_fn *f, double c);
void flt_plan_vector(const flt_op_use *u, flt_step *s, flt_vector_fn *f);

// ---- simplifications (engine/arithmetic.c)
// The op over operands before they were stretched, where the result's shape stays; flt_none: nothing to gain.
flt_node flt_unstretched(flt_graph *g, const flt_op_kind *k, const flt_op_site *at);
bool flt_stretches_to(const flt_graph *g, flt_node a, flt_node b); // b broadcasts to the shape of a

// ---- ops that only gradients and simplifications use
flt_node flt_gate(flt_graph *g, flt_node a, flt_node x);              // a where x > 0, else 0
flt_node flt_tanh_gradient(flt_graph *g, flt_node dy, flt_node y);    // dy (1 - y^2)
flt_node flt_sigmoid_gradient(flt_graph *g, flt_node dy, flt_node y); // dy y (1 - y)
flt_node flt_add_relu(flt_graph *g, flt_node a, flt_node b);          // relu(a + b)
flt_node flt_normal_cdf(flt_graph *g, flt_node a);                    // Phi(a) = (1 + erf(a / sqrt 2)) / 2
// scale / batch (softmax(logits) - onehot(labels)); scale of rank 0: the gradient of softmax_cross_entropy.
flt_node flt_softmax_cross_entropy_gradient(flt_graph *g, flt_node logits, flt_node labels, flt_node scale);

flt_node flt_patches_sum(flt_graph *g, flt_node a); // the gradient of flt_patches_of
flt_node flt_normal_pdf(flt_graph *g, flt_node a);  // exp(-a^2 / 2) / sqrt(2 pi)

extern const flt_op_kind flt_op_kind_add, flt_op_kind_broadcast, flt_op_kind_offset, flt_op_kind_reshape, flt_op_kind_scale,
    flt_op_kind_transpose;

#endif
