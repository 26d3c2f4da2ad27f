// SPDX-License-Identifier: MIT
// Energies of clusters of 5 to 30 atoms of two species, regressed by a transformer on points in three dimensions.
//
//   x = embed[species] [+ 3 r W + b], blocks as in engine/transformer.h with positions 3 r, y = V gelu(U sum_atoms x / most + u)
//   + v, loss = mean_batch (y - (E - mean) / deviation)^2
//
// Energies and clusters without end: engine/clusters.h. Number k of a split follows (seed, split, k), minibatch s holds numbers
// s batch .. s batch + batch - 1, evaluation those from 0; splits share no cluster, whatever its rotation and order. Mean and
// deviation of the energies come from SAMPLE clusters that are the same for every seed. The metric is the mean absolute error in
// units of energy, its baseline the error of predicting the mean.
//
// Every model is invariant to the order of atoms. To rotations: exact attention with a kernel of distance (gaussian, laplace,
// matern32, matern52, cauchy) or none, and what takes no encoding (performer, linear: these see the composition alone unless
// coordinates=true). Not: gaussian_mixture, whose waves have directions; flt, which is in expectation over its frequencies alone;
// anything with coordinates=true. rotation and order show every cluster in another pose, to see that.
//
// Tensors embed [3, width] ~ N(0, 1), place.{w,b} (coordinates), blocks.I.{norm1,attention,norm2,up,down}, norm, sum.{w,b},
// head.{w,b}. Cost of a step: 6 batch most P flops beside the attention.
#include "engine/clusters.h"
#include "engine/layers.h"
#include "engine/transformer.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>

#define ZOOM  3.0 // positions are told in thirds of sigma: encodings begin with widths of a unit and more
#define REACH 5.0 // across a cluster

enum { SAMPLE = 256 };

typedef struct molecules {
    flt_transformer body;
    size_t fewest, most, examples;
    bool coordinates;
    uint64_t rotation, order;
    double mean, deviation, absolute; // of energies
} molecules;

static const flt_param_spec params[] = {
    FLTX_TRANSFORMER_PARAMS("32", "2", "flt"),
    {"fewest", FLTX_INT, "5", 2, FLTX_CLUSTER_ATOMS, NULL, "atoms of the smallest cluster"},
    {"most", FLTX_INT, "30", 2, FLTX_CLUSTER_ATOMS, NULL, "atoms of the largest; smaller ones are filled up by absent atoms"},
    {"coordinates", FLTX_BOOL, "false", 0, 0, NULL, "a learned linear map of an atom's place is added to its token"},
    {"rotation", FLTX_INT, "0", 0, 9007199254740992.0, NULL,
     "every cluster is turned by the rotation of this number; 0: by none"},
    {"order", FLTX_INT, "0", 0, 9007199254740992.0, NULL, "atoms are listed in the order of this number; 0: as they were drawn"},
    {"batch", FLTX_INT, "16", 1, 65536, NULL, "clusters in a minibatch"},
    {"examples", FLTX_INT, "64", 1, 1000000, NULL, "clusters that the evaluation of a split goes over"},
    {0},
};

// ---- the state

static void measure(molecules *s) {
    const flt_rng r = flt_rng_make(0, "molecules.sample", 0);
    double energy[SAMPLE], squares = 0.0;
    flt_cluster c;
    for (size_t i = 0; i < SAMPLE; i++) {
        flt_cluster_draw(flt_rng_child(r, "number", i), FLTX_TRAIN, s->fewest, s->most, &c);
        energy[i] = flt_cluster_energy(&c);
        s->mean += energy[i] / SAMPLE;
    }
    for (size_t i = 0; i < SAMPLE; i++) {
        squares += (energy[i] - s->mean) * (energy[i] - s->mean) / SAMPLE;
        s->absolute += fabs(energy[i] - s->mean) / SAMPLE;
    }
    s->deviation = sqrt(squares);
}

// What the encodings take from places before there are any: their reach.
static flt_err set_reach(flt_heads *h, size_t n) {
    h->n = n;
    h->l = 3;
    FLTX_TRY(flt_alloc(n, 3 * sizeof *h->pos, &h->pos));
    for (size_t i = 0; i < n; i++) h->pos[3 * i] = ZOOM * REACH * (double)i / (double)(n - 1);
    return FLTE_OK;
}

static flt_err open(void *self, const flt_params *p) {
    static const char who[] = "task molecules";
    molecules *s = self;
    s->fewest = flt_params_size(p, "fewest");
    s->most = flt_params_size(p, "most");
    s->coordinates = flt_params_bool(p, "coordinates");
    s->rotation = (uint64_t)flt_params_int(p, "rotation");
    s->order = (uint64_t)flt_params_int(p, "order");
    s->examples = flt_params_size(p, "examples");
    if (s->fewest > s->most)
        return flt_fail(FLTE_RANGE, who, "fewest %zu is above most %zu; clusters have fewest .. most atoms", s->fewest, s->most);
    if (flt_params_is_set(p, "absolute"))
        return flt_fail(FLTE_USAGE, who, "absolute is set, but atoms have no number; coordinates=true adds their places");
    FLTX_TRY(set_reach(&s->body.heads, s->most));
    FLTX_TRY(flt_transformer_open(who, p, &s->body));
    FLTX_TRY(flt_heads_check_points(who, &s->body.heads));
    measure(s);
    return FLTE_OK;
}

static void close(void *self) {
    molecules *s = self;
    flt_transformer_close(&s->body);
}

// ---- the model

// [rows, most, width] -> [rows]: normalised energies
static flt_node regress(flt_task_model *m, const molecules *s, flt_node each, flt_node absent) {
    flt_graph *g = m->graph;
    const size_t n = s->most, width = s->body.heads.width, one = 1;
    const flt_node here = flt_reshape(g, flt_offset(g, flt_neg(g, absent), 1.0), 3, (size_t[]){m->rows, n, 1});
    const flt_node sum = flt_scale(g, flt_reduce_sum(g, flt_mul(g, each, here), 1u << 1, false), 1.0 / (double)n);
    const flt_node hidden = flt_gelu(g, flt_dense(m, "sum", sum, width, width));
    const flt_task_init small = {.std = 0.3 / sqrt((double)width)};
    const flt_node w = flt_task_tensor(m, "head.w", 2, (size_t[]){width, 1}, small);
    const flt_node b = flt_task_tensor(m, "head.b", 1, &one, (flt_task_init){0});
    return flt_reshape(g, flt_add(g, flt_matmul(g, hidden, w, false, false), b), 1, &m->rows);
}

static void build(void *self, flt_task_model *m) {
    const molecules *s = self;
    const size_t n = s->most, width = s->body.heads.width, count = m->rows * n;
    flt_graph *g = m->graph;
    const flt_node species = flt_task_input(m, "species", 1, &count);
    const flt_points points = {.pos = flt_task_input(m, "places", 3, (size_t[]){m->rows, n, 3}),
                               .absent = flt_task_input(m, "absent", 2, (size_t[]){m->rows, n})};
    const flt_node energies = flt_task_input(m, "energies", 1, &m->rows);
    const flt_node embed =
        flt_task_tensor(m, "embed", 2, (size_t[]){FLTX_CLUSTER_SPECIES + 1, width}, (flt_task_init){.std = 1.0});
    flt_node x = flt_gather(g, embed, species);
    if (s->coordinates) x = flt_add(g, x, flt_dense(m, "place", flt_reshape(g, points.pos, 2, (size_t[]){count, 3}), 3, width));
    x = flt_reshape(g, flt_transformer_apply(m, &s->body, x, &points), 3, (size_t[]){m->rows, n, width});
    const flt_node error = flt_sub(g, regress(m, s, x, points.absent), energies);
    m->loss = flt_mean_all(g, flt_square(g, error));
    m->metric = flt_scale(g, flt_mean_all(g, flt_add(g, flt_relu(g, error), flt_relu(g, flt_neg(g, error)))), s->deviation);
    m->metric_name = "mean_absolute_error";
    m->baseline_name = "mean energy";
    m->baseline = s->absolute;
}

// ---- the data

static void put(const molecules *s, flt_rng r, flt_split split, size_t row, flt_real *const *in) {
    flt_cluster c;
    uint32_t slot[FLTX_CLUSTER_ATOMS];
    flt_cluster_draw(r, split, s->fewest, s->most, &c);
    in[3][row] = (flt_real)((flt_cluster_energy(&c) - s->mean) / s->deviation);
    if (s->rotation > 0) flt_cluster_rotate(flt_rng_make(s->rotation, "molecules.rotation", 0), &c, &c);
    for (size_t i = 0; i < s->most; i++) slot[i] = (uint32_t)i;
    if (s->order > 0) flt_rng_permutation(flt_rng_make(s->order, "molecules.order", 0), s->most, slot);
    for (size_t i = 0; i < s->most; i++) {
        const size_t to = row * s->most + slot[i];
        const bool here = i < c.n;
        in[0][to] = (flt_real)(here ? c.species[i] : FLTX_CLUSTER_SPECIES);
        for (size_t k = 0; k < 3; k++) in[1][3 * to + k] = (flt_real)(here ? ZOOM * c.at[i][k] : 0.0);
        in[2][to] = here ? 0 : 1;
    }
}

// Clusters first .. first + rows - 1 of a stream.
static void put_all(const molecules *s, uint64_t seed, flt_split split, uint64_t first, size_t rows, flt_real *const *in) {
    const flt_rng stream = flt_rng_make(seed, "molecules", (uint64_t)split);
    for (size_t i = 0; i < rows; i++) put(s, flt_rng_child(stream, "number", first + i), split, i, in);
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    put_all(self, which.seed, which.split, which.step * rows, rows, in);
}

static size_t split_rows(void *self, flt_split split) {
    const molecules *s = self;
    (void)split;
    return s->examples;
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    put_all(self, which.seed, which.split, which.first, which.rows, in);
}

static const flt_graph_task task = {
    .size = sizeof(molecules),
    .open = open,
    .close = close,
    .build = build,
    .batch = batch,
    .split_rows = split_rows,
    .examples = examples,
    .eval_rows = FLTX_TASK_EVAL_TOKEN_ROWS,
};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_molecules = {
    .kind = {.name = "molecules",
             .summary = "transformer on points that learns energies of clusters of atoms, 3-D encodings",
             .formula = "mean over the batch of (transformer(species, places) - normalised energy)^2",
             .cost = "time O(batch most P) and the attention's, memory O(P + batch most width depth)",
             .citation = "energies: Lennard-Jones plus Morse; W. Kob, H. C. Andersen, Phys. Rev. E 51 (1995)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_ERROR,
             .params = params},
    .create = create,
};
