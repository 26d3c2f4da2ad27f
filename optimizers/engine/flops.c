// SPDX-License-Identifier: MIT
// What a step computes, as a number: additions, multiplications, divisions and roots for each parameter of the element-wise
// optimizers; of the others the products, whatever the implementation adds.
//     muon             five times 4 s^2 l + 2 s^3, s and l the shorter and the longer side; 13 for each of the rest
//     shampoo          Adam's 12, 4 r c (r + c) for G G^T, G^T G, A M, M B; every k-th step 9 n^3 a side for its eigenvectors
//     soap             Adam's 12, 6 r c (r + c) for the means, to the basis and back; every k-th step 4 n^3 + 4 n r c a side
//     learned          2 inputs outputs of each layer for each parameter. Features that a row or a column of a matrix shares (6
//     each
//                      in small_fc_lopt, celo2, flt, flt_tensor) count once for it, those of the time not at all.
//     flt              and a head: 4 m dk for the features of q and k, 5 m (dv + 1) for the state (2 of it read; 4 undiscounted),
//                      with a window w (2 dk + 2 dv), with codes 4 dk R and R in place of dk
//     flt_tensor       and 4 m dk + 8 m r + 4 m (dv + 1) for the attention within a chunk; what is done once a chunk is not
//     counted
// Exponentials, features and norms of learned optimizers are not counted.
#include "engine/flt_net.h"
#include "engine/flt_turn.h"
#include "engine/matrix.h"
#include "engine/mlp.h"

#include <math.h>
#include <string.h>

enum { LINE = 6 }; // features of a row, and of a column

static const struct {
    const char *name;
    double each;
} elements[] = {{"sgd", 2},
                {"momentum", 4},
                {"nesterov", 6},
                {"rmsprop", 9},
                {"adagrad", 7},
                {"adam", 12},
                {"adamw", 13},
                {"nadamw", 16},
                {"radam", 12},
                {"lion", 10},
                {"lamb", 20},
                {"adafactor", 12},
                {"schedule_free_adamw", 16}};

// ---- matrices

static double muon(const flt_params *p, const flt_tensor_spec *a) {
    (void)p;
    if (!flt_is_matrix(a)) return 13.0 * (double)a->count;
    const flt_matrix d = flt_matrix_of(a);
    const double s = (double)(d.r < d.c ? d.r : d.c), l = (double)(d.r < d.c ? d.c : d.r);
    return 5.0 * (4.0 * s * s * l + 2.0 * s * s * s);
}

typedef struct sides {
    double products, cubes, turns; // of n^2 times the other side, n^3, n r c: sums over the sides that have a preconditioner
} sides;

static sides sides_of(const flt_params *p, const flt_tensor_spec *a) {
    sides s = {0};
    if (!flt_is_matrix(a)) return s;
    const flt_matrix d = flt_matrix_of(a);
    const size_t n[2] = {d.r, d.c};
    for (int i = 0; i < 2; i++) {
        const double x = (double)n[i];
        if (n[i] > flt_params_size(p, "max_dim")) continue;
        s.products += x * (double)a->count;
        s.cubes += x * x * x / (double)flt_params_int(p, "frequency");
        s.turns += x * (double)a->count / (double)flt_params_int(p, "frequency");
    }
    return s;
}

static double shampoo(const flt_params *p, const flt_tensor_spec *a) {
    const sides s = sides_of(p, a);
    return 12.0 * (double)a->count + 4.0 * s.products + 9.0 * s.cubes;
}

static double soap(const flt_params *p, const flt_tensor_spec *a) {
    const sides s = sides_of(p, a);
    return 12.0 * (double)a->count + 6.0 * s.products + 4.0 * s.cubes + 4.0 * s.turns;
}

// ---- learned

// Inputs of a coordinate of which `lines` features are shared by rows, and as many by columns.
static double inputs_of(const flt_tensor_spec *a, double count, double lines) {
    if (!flt_is_matrix(a)) return count;
    const flt_matrix d = flt_matrix_of(a);
    return count - 2.0 * lines + lines * (double)(d.r + d.c) / (double)a->count;
}

static double network(const flt_params *p, const flt_tensor_spec *a, double count, double lines, size_t outputs) {
    const flt_mlp net = flt_mlp_make(p, 1, outputs);
    double sum = inputs_of(a, count, lines) * (double)net.width[1];
    for (size_t i = 1; i < net.n_layers; i++) sum += (double)(net.width[i] * net.width[i + 1]);
    return 2.0 * sum * (double)a->count;
}

static double mlp_lopt(const flt_params *p, const flt_tensor_spec *a) {
    return network(p, a, 8, 0, 2);
}
static double small_fc_lopt(const flt_params *p, const flt_tensor_spec *a) {
    return network(p, a, 28, LINE, 2);
}
static double celo2(const flt_params *p, const flt_tensor_spec *a) {
    return network(p, a, 30, LINE, 3);
}

static double lstm(const flt_params *p, const flt_tensor_spec *a) {
    const double h = (double)flt_params_int(p, "hidden"), layers = (double)flt_params_int(p, "layers");
    return (double)a->count * (8.0 * h * (2.0 + h + 2.0 * h * (layers - 1.0)) + 2.0 * h);
}

static double head_of(const flt_net *n) {
    const double m = (double)n->m, dk = (double)n->dk, dv = (double)n->dv, R = (double)n->R;
    if (n->memory == FLTX_MEMORY_NONE) return 0.0;
    if (n->memory == FLTX_MEMORY_WINDOW) return (double)n->window * 2.0 * (dk + dv);
    const double features = n->memory == FLTX_MEMORY_SPE_SINE ? 4.0 * dk * R + 4.0 * m * R : 4.0 * m * dk;
    return features + (flt_net_discounts(n) ? 5.0 : 4.0) * m * (dv + 1.0);
}

// Turns of gradient, parameters and step, and the second moments; now and then those of the momenta, and an iteration.
static double turning(const flt_net *n, const flt_tensor_spec *a) {
    const flt_turn p = flt_turn_of(a);
    const double every = (double)n->turn, momenta = n->raw ? 0.0 : FLTX_NET_DECAYS;
    double sum = 0.0;
    for (int i = 0; i < 2 && n->eigen; i++) {
        const double side = (double)p.n[i];
        sum += (8.0 + 4.0 * momenta / every) * side * (double)a->count + 14.0 / 3.0 * side * side * side / every;
    }
    return sum;
}

static double attending(const flt_params *p, const flt_tensor_spec *a) {
    flt_net n;
    if (flt_net_make(p, &n) != FLTE_OK) return NAN;
    const double heads = n.memory == FLTX_MEMORY_NONE ? 0.0 : (double)n.heads;
    const double columns = heads * (double)(2 * n.dk + n.dv) + (double)n.width[1];
    double sum = inputs_of(a, (double)n.features, n.raw ? 0.0 : LINE) * columns + heads * (double)(n.dv * n.width[1]);
    for (size_t i = 1; i < n.n_layers; i++) sum += (double)(n.width[i] * n.width[i + 1]);
    return (double)a->count * (2.0 * sum + heads * head_of(&n)) + turning(&n, a);
}

static double pooled(const flt_params *p, const flt_tensor_spec *a) {
    const double m = (double)flt_params_int(p, "m"), r = (double)flt_params_int(p, "r");
    const double dk = (double)flt_params_int(p, "dk"), dv = (double)flt_params_int(p, "dv");
    const double each = 2.0 * inputs_of(a, 30, LINE) * (2.0 * dk + dv) + 4.0 * m * dk + 8.0 * m * r + 4.0 * m * (dv + 1.0);
    return network(p, a, 30, LINE, 2) + each * (double)a->count;
}

// ---- all

static const struct {
    const char *name;
    double (*count)(const flt_params *p, const flt_tensor_spec *a);
} tensors[] = {
    {"muon", muon},   {"shampoo", shampoo}, {"soap", soap},     {"mlp_lopt", mlp_lopt}, {"small_fc_lopt", small_fc_lopt},
    {"celo2", celo2}, {"lstm", lstm},       {"flt", attending}, {"flt_tensor", pooled}};

double flt_optimizer_flops(const flt_optimizer_kind *kind, const flt_params *p, const flt_layout *layout) {
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (strcmp(elements[i].name, kind->kind.name) == 0) return elements[i].each * (double)layout->total;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        if (strcmp(tensors[i].name, kind->kind.name) != 0) continue;
        double sum = 0.0;
        for (size_t k = 0; k < layout->n; k++) sum += tensors[i].count(p, &layout->tensor[k]);
        return sum;
    }
    return NAN;
}
