// SPDX-License-Identifier: MIT
// The graph itself: nodes in order of creation, hence inputs before what uses them. Equal applications of one op are one node.
#ifndef FLTX_GRAPH_ENGINE_H
#define FLTX_GRAPH_ENGINE_H

#include "op.h"

typedef struct flt_vertex {
    const flt_op_kind *kind; // NULL: a leaf
    size_t n;                // inputs
    flt_node *in;            // [n]
    flt_op_attr attr;
    flt_shape shape;
    char *name;     // of an input, else NULL
    flt_real *data; // of a constant, else NULL
    uint64_t hash;
    int32_t next; // in the chain of its hash bucket, -1: last
} flt_vertex;

typedef struct flt_owned {
    void *data;
    void (*destroy)(void *);
} flt_owned;

struct flt_graph {
    flt_vertex **vertex; // [n], each its own block: pointers to shapes stay valid while the graph grows
    size_t n, room;
    int32_t *bucket; // [buckets], a power of two; -1: empty
    size_t buckets;
    bool simplify; // an executor's copy: builders may return cheaper equal nodes
    flt_err err;   // first error, with its sentence
    char sentence[1024];
    flt_owned *owned; // [n_owned]: specs of nodes
    size_t n_owned;
};

const flt_vertex *flt_graph_vertex(const flt_graph *g, flt_node x);
// Adds a node, or finds the equal one. The shape is the shape rule's.
flt_node flt_graph_add(flt_graph *g, const flt_op_kind *k, size_t n, const flt_node *in, const flt_op_attr *attr,
                       const flt_shape *shape);

// A copy of what the outputs need, simplified if asked. map [g->n]: node of the copy for each node of g, flt_none where it is not
// needed.
flt_err flt_graph_copy(const flt_graph *g, size_t n, const flt_node *outputs, bool simplify, flt_node *map, flt_graph **out);

// Adds to g what the outputs of `from` need, with the nodes `put` of g in place of the inputs `take` of `from`, which are all its
// inputs. out [n]: nodes of g.
typedef struct flt_splice {
    const flt_graph *from;
    size_t n_inputs;
    const flt_node *take, *put; // [n_inputs]
    size_t n;
    const flt_node *outputs; // [n]
} flt_splice;
flt_err flt_graph_splice(flt_graph *g, const flt_splice *s, flt_node *out);

// live [g->n]: whether a node is needed by the outputs.
void flt_graph_live(const flt_graph *g, size_t n, const flt_node *outputs, bool *live);

#endif
