// SPDX-License-Identifier: MIT
// Attention over points whose positions are data.
//
//   exact       softmax(q k' / sqrt d + f(r_i - r_j) - infinity where j is absent) v, in primitive ops: O(n^2), meant for few
//   points flt         performer on [q, a_i] and [k, b_j], with the snippets of FLT: <a_i, b_j> = (1/r) sum rho cos(2 pi xi.(r_i
//   - r_j)).
//               A plan of flt holds one table of positions; here every row has its own
//   performer   as it is; linear: elu + 1
//
// Absent keys of the random features get one more coordinate, 0 for queries and HIDDEN for them, which multiplies their features
// by exp(HIDDEN omega - HIDDEN^2 / 2): nothing in any precision, while what is estimated stays the same. Keys of linear are moved
// to where elu + 1 vanishes. exact is invariant to rotations when the encoding is a kernel of distance; flt only in expectation
// over its frequencies. All of them are invariant to the order of the points.
#include "engine/encoding.h"
#include "engine/heads.h"

#include "flt/attend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define HIDDEN 20.0

static bool is(const flt_heads *a, const char *mechanism) {
    return strcmp(a->kind->kind.name, mechanism) == 0;
}

static flt_encoding encoding_of(const flt_heads *a) {
    return (flt_encoding){.kind = a->rpe, .heads = a->heads, .components = a->components, .n = a->n, .l = a->l, .pos = a->pos};
}

flt_err flt_heads_check_points(const char *who, const flt_heads *a) {
    const flt_encoding e = encoding_of(a);
    if (!is(a, "exact") && !is(a, "flt") && !is(a, "performer") && !is(a, "linear"))
        return flt_fail(FLTE_UNSUPPORTED, who, "%s does not go over points; these mechanisms do: exact, flt, linear, performer",
                        a->kind->kind.name);
    if (is(a, "linear") && strstr(a->settings, "features=relu") != NULL)
        return flt_fail(FLTE_UNSUPPORTED, who, "relu features cannot hide absent points; linear does with features=elu");
    return is(a, "exact") && a->rpe != NULL ? flt_encoding_check_points(who, &e) : FLTE_OK;
}

// ---- exact

static flt_node exact(flt_task_model *m, const char *name, const flt_heads *a, const flt_node qkv[3], const flt_points *p) {
    flt_graph *g = m->graph;
    const flt_encoding e = encoding_of(a);
    const double scale = 1 / sqrt((double)a->width / (double)a->heads);
    flt_node scores = flt_scale(g, flt_matmul(g, qkv[0], qkv[1], false, true), scale);
    const flt_node hidden = flt_reshape(g, flt_scale(g, p->absent, -1e30), 4, (size_t[]){m->rows, 1, 1, a->n});
    if (a->rpe != NULL) scores = flt_add(g, scores, flt_encoding_bias_between(m, name, &e, p->pos));
    return flt_matmul(g, flt_softmax(g, flt_add(g, scores, hidden)), qkv[2], false, false);
}

// ---- features

// [rows, heads, n, 1]: `value` at absent points
static flt_node at_absent(flt_task_model *m, const flt_heads *a, const flt_points *p, double value) {
    const flt_node column = flt_reshape(m->graph, flt_scale(m->graph, p->absent, value), 4, (size_t[]){m->rows, 1, a->n, 1});
    return flt_broadcast(m->graph, column, 4, (size_t[]){m->rows, a->heads, a->n, 1});
}

// Snippets [rows, heads, n, 2r] of queries and keys.
static void snippets(flt_task_model *m, const char *name, const flt_heads *a, const flt_points *p, flt_node out[2]) {
    flt_graph *g = m->graph;
    const flt_encoding e = encoding_of(a);
    const flt_encoding_lines lines = flt_encoding_spectrum(m, name, &e, a->r);
    const size_t rows = m->rows, H = a->heads, n = a->n, r = lines.r, l = a->l;
    const flt_node xi = flt_reshape(g, lines.xi, 2, (size_t[]){H * r, l});
    const flt_node along = flt_reshape(g, flt_matmul(g, p->pos, xi, false, true), 4, (size_t[]){rows, n, H, r});
    const flt_node phase = flt_scale(g, flt_transpose(g, along, (size_t[]){0, 2, 1, 3}), FLTX_TWO_PI);
    const flt_node wave[] = {flt_cos(g, phase), flt_sin(g, phase)};
    const flt_node rho = flt_reshape(g, lines.rho, 4, (size_t[]){1, H, 1, r});
    const flt_node weighted[] = {flt_mul(g, wave[0], rho), flt_mul(g, wave[1], rho)};
    out[0] = flt_scale(g, flt_concat(g, 2, weighted, 3), 1 / sqrt((double)r));
    out[1] = flt_scale(g, flt_concat(g, 2, wave, 3), 1 / sqrt((double)r));
}

// Performer divides its inputs by the fourth root of their width D: what it is to see is multiplied by that.
static flt_node performer(flt_task_model *m, const char *name, const flt_heads *a, size_t number, const flt_node qkv[3],
                          const flt_points *p) {
    flt_graph *g = m->graph;
    const size_t d = a->width / a->heads;
    flt_node more[2] = {{-1}, {-1}};
    const bool coded = is(a, "flt") && a->rpe != NULL;
    if (coded) snippets(m, name, a, p, more);
    if (coded && more[0].id < 0) return more[0];
    const size_t D = d + 1 + (coded ? flt_node_dim(g, more[0])[3] : 0);
    const double root = sqrt(sqrt((double)D)), own = root / sqrt(sqrt((double)d));
    flt_node all[3];
    for (size_t i = 0; i < 2; i++) {
        const flt_node part[] = {flt_scale(g, qkv[i], own), at_absent(m, a, p, i == 0 ? 0.0 : HIDDEN * root),
                                 coded ? flt_scale(g, more[i], root) : more[i]};
        all[i] = flt_concat(g, coded ? 3 : 2, part, 3);
    }
    all[2] = qkv[2];
    const flt_attend_desc desc = {.mechanism = "performer", .settings = a->settings, .seed = number};
    return flt_attend(g, &desc, all, NULL);
}

static flt_node linear(flt_task_model *m, const flt_heads *a, size_t number, const flt_node qkv[3], const flt_points *p) {
    flt_graph *g = m->graph;
    const flt_node gone = at_absent(m, a, p, 1.0), here = flt_offset(g, flt_neg(g, gone), 1);
    const flt_node keys = flt_add(g, flt_mul(g, qkv[1], here), flt_scale(g, gone, -100));
    const flt_attend_desc desc = {.mechanism = "linear", .settings = a->settings, .seed = number};
    return flt_attend(g, &desc, (flt_node[]){qkv[0], keys, qkv[2]}, NULL);
}

flt_node flt_heads_between(flt_task_model *m, const char *name, const flt_heads *a, size_t number, const flt_node qkv[3],
                           const flt_points *points) {
    char prefix[48];
    snprintf(prefix, sizeof prefix, "%s.rpe", name);
    if (is(a, "exact")) return exact(m, prefix, a, qkv, points);
    if (is(a, "linear")) return linear(m, a, number, qkv, points);
    return performer(m, prefix, a, number, qkv, points);
}
