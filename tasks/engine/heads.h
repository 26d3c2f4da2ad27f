// SPDX-License-Identifier: MIT
// Multi-head attention of a transformer: any registered mechanism, with an encoding whose parameters are learned where it takes
// one.
#ifndef FLTX_TASK_HEADS_H
#define FLTX_TASK_HEADS_H

#include "engine/graph_task.h"
#include "flt/attention.h"

// The rows of a task's parameter table that flt_heads_open reads.
#define FLTX_HEADS_PARAMS(attention_)                                                                                            \
    {"heads", FLTX_INT, "2", 1, 256, NULL, "attention heads; they share out the width"},                                         \
        {"attention", FLTX_TEXT, attention_, 0, 0, NULL, "mechanism: see `flt list attention`"},                                 \
        {"rpe",                                                                                                                  \
         FLTX_TEXT,                                                                                                              \
         "auto",                                                                                                                 \
         0,                                                                                                                      \
         0,                                                                                                                      \
         NULL,                                                                                                                   \
         "learned relative encoding: see `flt list rpe`; auto: gaussian_mixture where the mechanism takes one, else none"},      \
        {"components", FLTX_INT, "3", 1, 64, NULL, "components of a gaussian_mixture, for each head"},                           \
        {"m", FLTX_INT, "32", 1, 65536, NULL, "random features, for mechanisms that have them"},                                 \
        {"r", FLTX_INT, "16", 1, 65536, NULL, "frequencies of an encoding's spectrum (flt)"}, {                                  \
        "settings", FLTX_TEXT, "", 0, 0, NULL, "further settings of the mechanism, name=value/name=value"                        \
    }

typedef struct flt_heads {
    size_t width, heads, components, m, r;
    bool causal;
    size_t n, l; // tokens, dimension of their positions
    double *pos; // [n, l]; NULL: a sequence
    const flt_attention_kind *kind;
    const flt_rpe_kind *rpe; // NULL: none
    char settings[256];      // of the mechanism, "m=64,.."
} flt_heads;

// Reads the parameters and checks that they go together; takes width, causal, n, l and pos (moved, freed by flt_heads_close) from
// *out. Errors: FLTE_NAME, FLTE_USAGE, FLTE_RANGE, FLTE_UNSUPPORTED with what can.
flt_err flt_heads_open(const char *who, const flt_params *p, flt_heads *out);
void flt_heads_close(flt_heads *a);

// Tokens of a picture, row by row: sets n, l and pos of *out to [down, right] before flt_heads_open, as the parameter says.
#define FLTX_GRID_PARAMS                                                                                                         \
    { "positions", FLTX_ENUM, "grid", 0, 0, "grid|sequence", "where tokens are: at (row, column), or one after the other" }
flt_err flt_heads_place_on_grid(const flt_params *p, size_t down, size_t right, flt_heads *out);

// Points that are data: another set of positions in every row, some of which may be absent.
typedef struct flt_points {
    flt_node pos;    // [rows, n, l]
    flt_node absent; // [rows, n]: 1 where a row has no point, else 0; nothing attends there
} flt_points;

// FLTE_UNSUPPORTED unless the mechanism and its encoding go over points: exact, flt, performer, linear (elu).
flt_err flt_heads_check_points(const char *who, const flt_heads *a);

// x [rows n, width] -> [rows n, width]; tensors NAME.q.w, k.w, v.w, out.w, their biases, NAME.rpe.* and NAME.ARGUMENT. `number`
// of the layer seeds its draws.
// points: NULL for tokens at a->pos.
flt_node flt_heads_apply(flt_task_model *m, const char *name, const flt_heads *a, size_t number, flt_node x,
                         const flt_points *points);

// The attention of heads over points, q, k, v [rows, heads, n, d] (engine/points.c).
flt_node flt_heads_between(flt_task_model *m, const char *name, const flt_heads *a, size_t number, const flt_node qkv[3],
                           const flt_points *points);

#endif
