// SPDX-License-Identifier: MIT
// Wrong graphs: the code, and a sentence that names the op, what was given and what is allowed.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "flt/graph.h"
#include "flt/memory.h"

typedef struct leaves {
    flt_node m34, m56, v3, v4, s, cube; // [3, 4], [5, 6], [3], [4], [], [2, 3, 4]
} leaves;

static flt_node sum(flt_graph *g, const leaves *x) {
    return flt_add(g, x->m34, x->m56);
}
static flt_node product(flt_graph *g, const leaves *x) {
    return flt_matmul(g, x->m34, x->m56, false, true);
}
static flt_node vector_product(flt_graph *g, const leaves *x) {
    return flt_matmul(g, x->m34, x->v4, false, false);
}
static flt_node batches(flt_graph *g, const leaves *x) {
    return flt_matmul(g, x->cube, flt_reshape(g, x->cube, 3, (size_t[]){3, 2, 4}), false, true);
}
static flt_node axes(flt_graph *g, const leaves *x) {
    return flt_reduce_sum(g, x->m34, 1u << 2, false);
}
static flt_node stretch(flt_graph *g, const leaves *x) {
    return flt_broadcast(g, x->v3, 2, (size_t[]){2, 4});
}
static flt_node elements(flt_graph *g, const leaves *x) {
    return flt_reshape(g, x->m34, 1, (size_t[]){11});
}
static flt_node permutation(flt_graph *g, const leaves *x) {
    return flt_transpose(g, x->m34, (size_t[]){1, 1});
}
static flt_node parts(flt_graph *g, const leaves *x) {
    return flt_concat(g, 2, (flt_node[]){x->m34, x->m56}, 0);
}
static flt_node no_parts(flt_graph *g, const leaves *x) {
    return (void)x, flt_concat(g, 0, NULL, 0);
}
static flt_node range(flt_graph *g, const leaves *x) {
    return flt_slice(g, x->m34, 1, 2, 3);
}
static flt_node nothing(flt_graph *g, const leaves *x) {
    return flt_slice(g, x->m34, 1, 2, 0);
}
static flt_node huge_start(flt_graph *g, const leaves *x) {
    return flt_slice(g, x->m34, 1, SIZE_MAX, 2);
}
static flt_node huge_pad(flt_graph *g, const leaves *x) {
    return flt_pad(g, x->m34, 1, SIZE_MAX, 2);
}
static flt_node pad_axis(flt_graph *g, const leaves *x) {
    return flt_pad(g, x->v3, 1, 1, 1);
}
static flt_node index_rank(flt_graph *g, const leaves *x) {
    return flt_gather(g, x->m34, x->m56);
}
static flt_node rows(flt_graph *g, const leaves *x) {
    return flt_scatter_add(g, x->m34, x->v4, 3);
}
static flt_node labels(flt_graph *g, const leaves *x) {
    return flt_softmax_cross_entropy(g, x->m34, x->v4);
}
static flt_node hits(flt_graph *g, const leaves *x) {
    return flt_accuracy(g, x->v3, x->v3);
}
static flt_node scalar_softmax(flt_graph *g, const leaves *x) {
    return flt_softmax(g, x->s);
}
static flt_node too_deep(flt_graph *g, const leaves *x) {
    return (void)x, flt_input(g, "deep", 9, (size_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1});
}
static flt_node empty(flt_graph *g, const leaves *x) {
    return (void)x, flt_input(g, "empty", 2, (size_t[]){3, 0});
}
static flt_node overflow(flt_graph *g, const leaves *x) {
    return (void)x, flt_input(g, "vast", 2, (size_t[]){SIZE_MAX, 2});
}
static flt_node foreign(flt_graph *g, const leaves *x) {
    return (void)x, flt_exp(g, (flt_node){1000});
}
static flt_node rank_0(flt_graph *g, const leaves *x) {
    return flt_matmul(g, x->m34, x->s, false, false);
}

Test(graph_errors, sentences) {
    const struct {
        const char *label;
        flt_node (*build)(flt_graph *, const leaves *);
        flt_err code;
        const char *says[4];
    } row[] = {
        {"sum", sum, FLTE_SHAPE, {"add: ", "[3, 4] and [5, 6]", "equal or 1"}},
        {"product", product, FLTE_SHAPE, {"matmul: ", "[3, 4] times [5, 6] transposed", "inner lengths"}},
        {"product with a vector", vector_product, FLTE_SHAPE, {"matmul: ", "[3, 4] times [4]", "rank 2"}},
        {"batches", batches, FLTE_SHAPE, {"matmul: ", "[2, 3, 4] times [3, 2, 4]", "leading axes"}},
        {"axes", axes, FLTE_SHAPE, {"reduce_sum: ", "0x4 of [3, 4]", "rank - 1"}},
        {"stretch", stretch, FLTE_SHAPE, {"broadcast: ", "[3]", "[2, 4]"}},
        {"elements", elements, FLTE_SHAPE, {"reshape: ", "[3, 4] to [11]", "12 and 11"}},
        {"permutation", permutation, FLTE_SHAPE, {"transpose: ", "axes[1] = 1", "permutation of 0 .. 1"}},
        {"parts", parts, FLTE_SHAPE, {"concat: ", "part 1 is [5, 6]", "axis 0"}},
        {"no parts", no_parts, FLTE_RANGE, {"concat: ", "0 inputs", "at least 1"}},
        {"range", range, FLTE_SHAPE, {"slice: ", "2 to 5 of axis 1 of [3, 4]", "0 to 4"}},
        {"nothing", nothing, FLTE_SHAPE, {"slice: ", "length 0", "at least 1"}},
        {"huge start", huge_start, FLTE_SHAPE, {"slice: ", "[3, 4]"}},
        {"huge pad", huge_pad, FLTE_SHAPE, {"pad: ", "[3, 4]", "size_t"}},
        {"pad axis", pad_axis, FLTE_SHAPE, {"pad: ", "axis 1 of [3]"}},
        {"index", index_rank, FLTE_SHAPE, {"gather: ", "index [5, 6]", "[k]"}},
        {"rows", rows, FLTE_SHAPE, {"scatter_add: ", "rows [3, 4], index [4]"}},
        {"labels", labels, FLTE_SHAPE, {"softmax_cross_entropy: ", "labels [4]", "[batch, classes] and [batch]"}},
        {"hits", hits, FLTE_SHAPE, {"accuracy: ", "logits [3]"}},
        {"softmax of a scalar", scalar_softmax, FLTE_SHAPE, {"softmax: ", "rank 1 or more"}},
        {"too deep", too_deep, FLTE_SHAPE, {"rank 9", "0 .. 8", "'deep'"}},
        {"empty", empty, FLTE_SHAPE, {"axis 1 has length 0", "'empty'"}},
        {"overflow", overflow, FLTE_SHAPE, {"size_t", "'vast'"}},
        {"foreign", foreign, FLTE_RANGE, {"exp: ", "no node of this graph"}},
        {"rank 0 in a product", rank_0, FLTE_SHAPE, {"matmul: ", "rank 2"}},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        flt_graph *g = NULL;
        flt_exec *e = NULL;
        cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
        const leaves x = {flt_input(g, "m34", 2, (size_t[]){3, 4}),
                          flt_input(g, "m56", 2, (size_t[]){5, 6}),
                          flt_input(g, "v3", 1, (size_t[]){3}),
                          flt_input(g, "v4", 1, (size_t[]){4}),
                          flt_input(g, "s", 0, NULL),
                          flt_input(g, "cube", 3, (size_t[]){2, 3, 4})};
        const flt_node bad = row[i].build(g, &x), later = flt_add(g, flt_exp(g, bad), flt_matmul(g, x.v3, x.v3, true, true));
        cr_assert(bad.id < 0 && later.id < 0, "%s", row[i].label);
        cr_assert(flt_node_rank(g, bad) == 0 && flt_node_count(g, bad) == 0 && flt_node_dim(g, bad) != NULL, "%s", row[i].label);
        flt_error_clear();
        cr_assert(eq(int, flt_graph_status(g), row[i].code), "%s", row[i].label);
        for (size_t k = 0; k < 4 && row[i].says[k] != NULL; k++)
            cr_assert(strstr(flt_error(), row[i].says[k]) != NULL, "%s: '%s' is not in: %s", row[i].label, row[i].says[k],
                      flt_error());
        flt_error_clear();
        cr_assert(eq(int, flt_exec_create(g, 1, &later, &e), row[i].code), "%s", row[i].label);
        cr_assert(e == NULL && strstr(flt_error(), row[i].says[0]) != NULL, "%s: %s", row[i].label, flt_error());
        flt_graph_destroy(g);
        cr_assert(eq(sz, flt_live_blocks(), 0), "%s", row[i].label);
    }
}

Test(graph_errors, gradients_and_executors) {
    flt_graph *g = NULL;
    flt_exec *e = NULL;
    flt_node d = {0};
    cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
    const flt_node x = flt_input(g, "x", 1, (size_t[]){3}), y = flt_input(g, "y", 1, (size_t[]){2});
    cr_assert(eq(int, flt_exec_create(g, 0, &x, &e), FLTE_RANGE));
    cr_assert(strstr(flt_error(), "at least 1") != NULL, "%s", flt_error());
    cr_assert(eq(int, flt_exec_create(g, 1, &(flt_node){99}, &e), FLTE_RANGE));
    cr_assert(eq(int, flt_graph_status(g), FLTE_OK)); // the graph itself is fine
    cr_assert(eq(int, flt_gradient(g, flt_sum_all(g, x), 1, &(flt_node){99}, &d), FLTE_RANGE));
    cr_assert(strstr(flt_error(), "x[0]") != NULL, "%s", flt_error());
    cr_assert(d.id < 0);
    flt_graph_destroy(g);
    cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
    const flt_node z = flt_input(g, "z", 1, (size_t[]){3});
    cr_assert(eq(int, flt_gradient(g, z, 1, &z, &d), FLTE_SHAPE));
    cr_assert(strstr(flt_error(), "[3]; allowed: rank 0") != NULL, "%s", flt_error());
    flt_graph_destroy(g);
    cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
    const flt_node w = flt_input(g, "w", 1, (size_t[]){3}), v = flt_input(g, "v", 1, (size_t[]){2});
    cr_assert(eq(int, flt_hessian_vector(g, flt_sum_all(g, w), 1, &w, &v, &d), FLTE_SHAPE));
    cr_assert(strstr(flt_error(), "direction[0] has shape [2]; allowed: [3]") != NULL, "%s", flt_error());
    cr_assert(d.id < 0 && y.id >= 0);
    flt_graph_destroy(g);
    flt_graph_destroy(NULL);
    flt_exec_destroy(NULL);
}
