// SPDX-License-Identifier: MIT
// Forms: attention written in primitive ops, with the draws of the plan. Second derivatives of attention are taken of them. One
// mechanism is one file of core/graph/forms, which is named like it. Private to core/graph.
//
//   O(N^2) time and memory unless a form says otherwise. Exponents are taken as they are, without the moving scales of the
//   kernels: meant for q and k of moderate size (exponents below 40 in float).
#ifndef FLTX_GRAPH_FORM_H
#define FLTX_GRAPH_FORM_H

#include "attend.h"

#include "flt/registry.h"

enum { FLTX_FORM_DRAWS = 32 };

typedef struct flt_form_kind {
    flt_kind kind;              // .name: the mechanism's
    const char *const *learned; // arguments that may be nodes; ends with NULL
    // y [B, H, N, dv] of in [3 + n_learned]: q, k, v and the learned nodes. Errors stay in the graph.
    flt_node (*build)(flt_graph *g, const flt_attend_spec *s, const flt_node *in);
} flt_form_kind;

const flt_registry *flt_form_registry(void);
flt_err flt_form_find(const char *name, const flt_form_kind **out);

// The form of the spec's mechanism. FLTE_UNSUPPORTED without one, or when a learned argument is none that it knows.
flt_node flt_form_build(flt_graph *g, const flt_attend_spec *s, const flt_node *in);

// ---- arguments (engine/form.c)
flt_node flt_form_constant(flt_graph *g, size_t rank, const size_t *dim, const double *data);
// The argument of this name: a learned node, what was given, or what the plan drew; flt_none: it has none.
flt_node flt_form_argument(flt_graph *g, const flt_attend_spec *s, const flt_node *in, const char *name);
bool flt_form_values(const flt_attend_spec *s, const char *name, flt_attention_arg *out); // likewise, as planned
flt_node flt_form_heads(flt_graph *g, const flt_attend_spec *s, flt_node x, size_t rank); // [H, ..] of x with `rank` axes a head
flt_node flt_form_positions(flt_graph *g, const flt_attend_spec *s, const flt_node *in);  // [N, l]
flt_node flt_form_encoding(flt_graph *g, const flt_attend_spec *s); // f(r_i - r_j) [H, N, N] of a fixed encoding; flt_none
flt_node flt_form_lags(flt_graph *g, const flt_attend_spec *s, flt_node lags);          // [H, N, N] of [2N - 1] or [H, 2N - 1]
bool flt_form_chosen(const flt_attend_spec *s, const char *setting, const char *value); // false too where there is no such one

// ---- kernels (engine/form_kernel.c)
flt_node flt_form_softmax(flt_graph *g, const flt_attend_spec *s, const flt_node qkv[3], flt_node bias);    // bias or flt_none
flt_node flt_form_weigh(flt_graph *g, const flt_attend_spec *s, flt_node a /* [B, H, N, N] */, flt_node v); // a v / (a 1), masked
// Random features of q, k [B, H, N, w] as the settings say; omega [m, w + ..], its further columns for snippets [H, N, ..] of
// queries and keys (flt_none: none).
flt_node flt_form_features(flt_graph *g, const flt_attend_spec *s, const flt_node qkv[3], flt_node omega,
                           const flt_node snippets[2]);
flt_node flt_form_over_batch(flt_graph *g, const flt_attend_spec *s, flt_node x /* [H, a, b] */);
flt_node flt_form_dots(flt_graph *g, flt_node a, flt_node b); // sums of products along the last axis, which stays as 1

// ---- stochastic positional encodings (engine/form_code.c)
// Attention of the coded rows; code [H, N, d, R] of queries and keys without (d R)^(-1/4), before the gate.
flt_node flt_form_coded(flt_graph *g, const flt_attend_spec *s, const flt_node *in, const flt_node code[2]);

#endif
