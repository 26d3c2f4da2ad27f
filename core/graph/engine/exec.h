// SPDX-License-Identifier: MIT
// What an executor is made of, and its making with debug switches.
#ifndef FLTX_GRAPH_EXEC_H
#define FLTX_GRAPH_EXEC_H

#include "flt/memory.h"
#include "graph.h"

enum {                              // for tests
    FLTX_EXEC_NO_SHARING = 1u << 0, // every value has memory of its own
    FLTX_EXEC_AS_WRITTEN = 1u << 1, // no simplification
};

typedef enum flt_value_kind { FLTX_VALUE_INPUT, FLTX_VALUE_CONSTANT, FLTX_VALUE_COMPUTED } flt_value_kind;

// One buffer's content from its making to its last use. Reshaped nodes are the value of what they reshape.
typedef struct flt_value {
    flt_value_kind kind;
    size_t count;
    size_t made, last;          // steps; last = SIZE_MAX: an output
    size_t offset;              // of its memory in the block, in bytes
    size_t slot_begin, n_slots; // where steps read it: a range of flt_exec.slot
} flt_value;

typedef struct flt_exec_input {
    int32_t id; // in the graph that the user made
    bool bound;
    size_t value;
} flt_exec_input;

typedef struct flt_exec_engine { // what the steps with one spec share
    const void *spec;            // a key, read only while the executor is made
    const flt_op_engine *kind;
    unsigned uses;
    void *self;
} flt_exec_engine;

struct flt_exec {
    size_t n_steps, n_reads, n_values, n_inputs, n_outputs, n_unbound;
    flt_step *step;           // [n_steps], run in order
    const flt_op_kind **kind; // [n_steps]
    const flt_real **in;      // [n_reads]: inputs of step 0, of step 1, ..
    size_t *count;            // [n_reads]
    size_t *read;             // [n_reads]: which value
    size_t *first;            // [n_steps + 1]: where the inputs of a step begin
    size_t *made;             // [n_steps]: which value it makes
    flt_value *value;         // [n_values]
    size_t *slot;             // [n_reads]: places in `in`, by value
    flt_exec_input *input;    // [n_inputs], by ascending id
    size_t n_engines;
    flt_exec_engine *engine; // [n_engines]
    size_t *output;          // [n_outputs]: which value
    const flt_real **out;    // [n_outputs]: where it is
    size_t bytes;            // of the block
    double flops;            // of one run
    unsigned char *block;    // shared buffers, then constants
};

flt_err flt_exec_create_with(const flt_graph *g, size_t n, const flt_node *outputs, unsigned flags, flt_exec **out);

// Opens the engines of the live nodes of g; what one node's steps share; closes them (engine/engines.c).
flt_err flt_exec_open_engines(flt_exec *e, const flt_graph *g, const bool *live);
void *flt_exec_engine_of(const flt_exec *e, const void *spec);
void flt_exec_close_engines(flt_exec *e);

// Gives each value and each step's scratch its place (engine/plan.c). scratch [n_steps]: offsets in bytes.
flt_err flt_exec_plan(flt_exec *e, unsigned flags, size_t *scratch);

#endif
