// SPDX-License-Identifier: MIT
// Graphs and executors: sharing of memory, simplification, binding, allocation, failure of memory.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "../graph/engine/exec.h"
#include "flt/random.h"

enum { BATCH = 8, INPUT = 5, HIDDEN = 7, CLASSES = 3, PARAMS = 4, OUTPUTS = 2 + 2 * PARAMS };

// A small network: loss, accuracy, gradients, products with the Hessian.
typedef struct network {
    flt_graph *graph;
    flt_node x, labels, param[PARAMS], direction[PARAMS], out[OUTPUTS];
    size_t count[PARAMS];
    flt_real data[BATCH * INPUT], label[BATCH], theta[PARAMS][64], along[PARAMS][64];
} network;

static flt_err describe(network *n) {
    flt_graph *g = n->graph;
    const size_t dim[PARAMS][2] = {{INPUT, HIDDEN}, {HIDDEN}, {HIDDEN, CLASSES}, {CLASSES}}, rank[PARAMS] = {2, 1, 2, 1};
    n->x = flt_input(g, "x", 2, (size_t[]){BATCH, INPUT});
    n->labels = flt_input(g, "labels", 1, (size_t[]){BATCH});
    for (size_t i = 0; i < PARAMS; i++) {
        n->param[i] = flt_input(g, "theta", rank[i], dim[i]);
        n->direction[i] = flt_input(g, "direction", rank[i], dim[i]);
        n->count[i] = flt_node_count(g, n->param[i]);
    }
    flt_node h = flt_add(g, flt_matmul(g, n->x, n->param[0], false, false), n->param[1]);
    h = flt_add(g, flt_relu(g, h), flt_scale(g, flt_tanh(g, h), 0.5));
    const flt_node logits = flt_add(g, flt_matmul(g, h, n->param[2], false, false), n->param[3]);
    n->out[0] = flt_softmax_cross_entropy(g, logits, n->labels);
    n->out[1] = flt_accuracy(g, logits, n->labels);
    FLTX_TRY(flt_gradient(g, n->out[0], PARAMS, n->param, n->out + 2));
    return flt_hessian_vector(g, n->out[0], PARAMS, n->param, n->direction, n->out + 2 + PARAMS);
}

static flt_err make(network *n) {
    *n = (network){0};
    FLTX_TRY(flt_graph_create(&n->graph));
    const flt_rng r = flt_rng_make(3, "network", 0);
    flt_rng_normal(flt_rng_child(r, "x", 0), 0, BATCH * INPUT, n->data);
    for (size_t i = 0; i < BATCH; i++) n->label[i] = (flt_real)(i % CLASSES);
    for (size_t i = 0; i < PARAMS; i++) {
        flt_rng_normal(flt_rng_child(r, "theta", i), 0, 64, n->theta[i]);
        flt_rng_normal(flt_rng_child(r, "direction", i), 0, 64, n->along[i]);
    }
    return describe(n);
}

static void bind(network *n, flt_exec *e) {
    flt_exec_bind(e, n->x, n->data);
    flt_exec_bind(e, n->labels, n->label);
    for (size_t i = 0; i < PARAMS; i++) {
        flt_exec_bind(e, n->param[i], n->theta[i]);
        flt_exec_bind(e, n->direction[i], n->along[i]);
    }
}

static size_t count_of(const network *n, size_t i) {
    return i < 2 ? 1 : n->count[(i - 2) % PARAMS];
}

static flt_exec *executor(network *n, unsigned flags) {
    flt_exec *e = NULL;
    cr_assert(eq(int, flt_exec_create_with(n->graph, OUTPUTS, n->out, flags, &e), FLTE_OK), "%s", flt_error());
    bind(n, e);
    return e;
}

static void assert_same(const network *n, const flt_exec *a, const flt_exec *b, const char *label) {
    for (size_t i = 0; i < OUTPUTS; i++)
        cr_assert(memcmp(flt_exec_output(a, i), flt_exec_output(b, i), count_of(n, i) * sizeof(flt_real)) == 0, "%s: output %zu",
                  label, i);
}

Test(graph, sharing_memory_changes_no_bit) {
    network n;
    cr_assert(eq(int, make(&n), FLTE_OK), "%s", flt_error());
    flt_exec *shared = executor(&n, 0), *apart = executor(&n, FLTX_EXEC_NO_SHARING);
    for (int round = 0; round < 3; round++) { // the second run starts from a used block
        flt_exec_run(shared);
        flt_exec_run(apart);
        assert_same(&n, shared, apart, "shared and apart");
        n.theta[0][round] += 1;
    }
    cr_assert(lt(sz, flt_exec_bytes(shared) * 3, flt_exec_bytes(apart) * 2), "%zu and %zu bytes", flt_exec_bytes(shared),
              flt_exec_bytes(apart));
    cr_assert(eq(sz, flt_exec_nodes(shared), flt_exec_nodes(apart)));
    flt_exec_destroy(shared);
    flt_exec_destroy(apart);
    flt_graph_destroy(n.graph);
}

Test(graph, simplification_changes_rounding_at_most) {
    network n;
    cr_assert(eq(int, make(&n), FLTE_OK));
    flt_exec *simple = executor(&n, 0), *written = executor(&n, FLTX_EXEC_AS_WRITTEN);
    flt_exec_run(simple);
    flt_exec_run(written);
    for (size_t i = 0; i < OUTPUTS; i++)
        for (size_t j = 0; j < count_of(&n, i); j++) {
            const double got = (double)flt_exec_output(simple, i)[j], want = (double)flt_exec_output(written, i)[j];
            cr_assert(fabs(got - want) <= 30 * FLTX_EPS * (1 + fabs(want)), "output %zu, element %zu: %g, not %g", i, j, got,
                      want);
        }
    cr_assert(lt(sz, flt_exec_nodes(simple), flt_exec_nodes(written)));
    flt_exec_destroy(simple);
    flt_exec_destroy(written);
    flt_graph_destroy(n.graph);
}

Test(graph, running_allocates_nothing_and_outlives_the_graph) {
    network n;
    cr_assert(eq(int, make(&n), FLTE_OK));
    flt_exec *e = executor(&n, 0), *again = executor(&n, 0);
    flt_graph_destroy(n.graph);
    const size_t before = flt_alloc_count();
    flt_exec_run(e);
    flt_exec_run(e);
    flt_exec_run(again);
    cr_assert(eq(sz, flt_alloc_count(), before));
    assert_same(&n, e, again, "run twice");
    flt_exec_destroy(e);
    flt_exec_destroy(again);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(graph, idling_computes_nothing) {
    network n;
    flt_exec *e = NULL;
    flt_real kept[64];
    cr_assert(make(&n) == FLTE_OK && flt_exec_create(n.graph, OUTPUTS, n.out, &e) == FLTE_OK, "%s", flt_error());
    bind(&n, e);
    flt_exec_run(e);
    memcpy(kept, flt_exec_output(e, 2), n.count[0] * sizeof *kept);
    n.data[0] += 1;
    flt_exec_idle(e);
    cr_assert_eq(memcmp(kept, flt_exec_output(e, 2), n.count[0] * sizeof *kept), 0);
    flt_exec_run(e);
    cr_assert(memcmp(kept, flt_exec_output(e, 2), n.count[0] * sizeof *kept) != 0);
    flt_exec_destroy(e);
    flt_graph_destroy(n.graph);
}

Test(graph, outputs_go_where_they_are_bound) {
    network n;
    flt_real to[OUTPUTS][65];
    cr_assert(eq(int, make(&n), FLTE_OK));
    flt_exec *e = executor(&n, 0), *other = executor(&n, 0);
    flt_exec_run(e);
    for (size_t i = 0; i < OUTPUTS; i++) flt_exec_bind_output(other, i, to[i] + 1); // not aligned
    flt_exec_run(other);
    assert_same(&n, e, other, "bound");
    for (size_t i = 0; i < OUTPUTS; i++) cr_assert(eq(ptr, (void *)(uintptr_t)flt_exec_output(other, i), (void *)(to[i] + 1)));
    const flt_real kept = to[0][1];
    flt_exec_bind_output(other, 0, NULL);
    to[0][1] = 7;
    flt_exec_run(other);
    cr_assert(to[0][1] == 7 && *flt_exec_output(other, 0) == kept);
    flt_exec_destroy(e);
    flt_exec_destroy(other);
    flt_graph_destroy(n.graph);
}

// Inputs, constants, reshaped and repeated nodes as outputs; an output that later steps read.
Test(graph, any_node_may_be_an_output) {
    flt_graph *g = NULL;
    flt_exec *e = NULL;
    cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
    const flt_real data[4] = {1, 2, 3, 4};
    flt_real far[4];
    const flt_node x = flt_input(g, "x", 1, (size_t[]){4}), square = flt_square(g, x),
                   flat = flt_reshape(g, square, 2, (size_t[]){2, 2});
    const flt_node c = flt_scalar(g, 5), chain = flt_exp(g, flt_neg(g, square));
    const flt_node out[] = {x, square, flat, c, square, chain, flt_reshape(g, x, 2, (size_t[]){2, 2})};
    cr_assert(eq(int, flt_exec_create(g, 7, out, &e), FLTE_OK), "%s", flt_error());
    flt_exec_bind(e, x, data);
    flt_exec_bind_output(e, 1, far);
    for (int round = 0; round < 2; round++) {
        flt_exec_run(e);
        for (size_t i = 0; i < 4; i++) {
            const flt_real want = data[i] * data[i];
            cr_assert(flt_exec_output(e, 0)[i] == data[i] && flt_exec_output(e, 6)[i] == data[i], "input");
            cr_assert(far[i] == want && flt_exec_output(e, 2)[i] == want && flt_exec_output(e, 4)[i] == want, "square");
            cr_assert(fabs((double)flt_exec_output(e, 5)[i] / exp(-(double)want) - 1) < 30 * FLTX_EPS, "chain");
        }
        cr_assert(flt_exec_output(e, 3)[0] == 5);
    }
    flt_exec_destroy(e);
    flt_graph_destroy(g);
}

static size_t steps(const flt_graph *g, flt_node y) {
    flt_exec *e = NULL;
    cr_assert(eq(int, flt_exec_create(g, 1, &y, &e), FLTE_OK), "%s", flt_error());
    const size_t n = flt_exec_nodes(e);
    flt_exec_destroy(e);
    return n;
}

// The simplified form computes what is written, to rounding.
static void assert_as_written(const flt_graph *g, flt_node y, size_t n, const flt_node *in, const char *label) {
    flt_exec *e[2];
    flt_real data[8][64];
    for (unsigned k = 0; k < 2; k++) {
        cr_assert(eq(int, flt_exec_create_with(g, 1, &y, k * FLTX_EXEC_AS_WRITTEN, &e[k]), FLTE_OK), "%s", flt_error());
        for (size_t i = 0; i < n; i++) {
            flt_rng_normal(flt_rng_make(2, "in", i), 0, 64, data[i]);
            flt_exec_bind(e[k], in[i], data[i]);
        }
        flt_exec_run(e[k]);
    }
    for (size_t i = 0; i < flt_node_count(g, y); i++) {
        const double got = (double)flt_exec_output(e[0], 0)[i], want = (double)flt_exec_output(e[1], 0)[i];
        cr_assert(fabs(got - want) <= 30 * FLTX_EPS * (1 + fabs(want)), "%s: element %zu is %g, not %g", label, i, got, want);
    }
    flt_exec_destroy(e[0]);
    flt_exec_destroy(e[1]);
}

Test(graph, executors_run_the_simplest_form) {
    flt_graph *g = NULL;
    cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
    const size_t dim[2] = {3, 3}, cube[3] = {3, 3, 3}, swap[2] = {1, 0};
    const flt_node in[] = {flt_input(g, "x", 2, dim), flt_input(g, "y", 2, dim), flt_input(g, "b", 1, dim),
                           flt_input(g, "c", 3, cube)};
    const flt_node x = in[0], y = in[1], row = in[2], c = in[3], one = flt_scalar(g, 1), two = flt_scalar(g, 2);
    const flt_node zeros = flt_broadcast(g, flt_scalar(g, 0), 2, dim), wide = flt_broadcast(g, two, 2, dim);
    const flt_node ends = flt_transpose(g, c, (size_t[]){2, 1, 0}), last = flt_transpose(g, c, (size_t[]){0, 2, 1});
    const struct {
        const char *label;
        flt_node node;
        size_t steps;
    } test[] = {
        {"x 1", flt_exp(g, flt_mul(g, x, one)), 1},
        {"2 x", flt_mul(g, wide, x), 1},
        {"0 + x", flt_exp(g, flt_add(g, zeros, x)), 1},
        {"2 + x", flt_add(g, two, x), 1},
        {"x - 2", flt_sub(g, x, wide), 1},
        {"2 - x", flt_sub(g, two, x), 1},
        {"0 - x", flt_exp(g, flt_sub(g, zeros, x)), 2},
        {"x / 1 - 0", flt_exp(g, flt_sub(g, flt_div(g, x, one), zeros)), 1},
        {"2 / x", flt_div(g, wide, x), 1},
        {"-(-x)", flt_exp(g, flt_neg(g, flt_neg(g, x))), 1},
        {"3 (2 x)", flt_scale(g, flt_scale(g, x, 2), 3), 1},
        {"3 + (2 + x)", flt_offset(g, flt_offset(g, x, 2), 3), 1},
        {"x + (-y)", flt_add(g, x, flt_neg(g, y)), 1},
        {"x - (-y)", flt_sub(g, x, flt_neg(g, y)), 1},
        {"transposes into the product", flt_matmul(g, flt_transpose(g, x, swap), flt_transpose(g, y, swap), false, true), 1},
        {"left transpose", flt_matmul(g, flt_transpose(g, x, swap), y, true, false), 1},
        {"batch of transposes", flt_matmul(g, last, x, false, false), 1},
        {"outer axes transposed", flt_matmul(g, ends, c, false, false), 2},
        {"outer axes transposed, right", flt_matmul(g, c, flt_transpose(g, c, (size_t[]){1, 0, 2}), false, false), 2},
        {"rotated", flt_matmul(g, c, flt_transpose(g, c, (size_t[]){2, 0, 1}), false, false), 2},
        {"transposed twice", flt_exp(g, flt_transpose(g, flt_transpose(g, x, swap), swap)), 1},
        {"rotated twice", flt_transpose(g, flt_transpose(g, c, (size_t[]){1, 2, 0}), (size_t[]){0, 2, 1}), 1},
        {"stretched in advance", flt_mul(g, x, flt_broadcast(g, row, 2, dim)), 1},
        {"stretched on both sides", flt_add(g, flt_broadcast(g, row, 3, cube), flt_broadcast(g, x, 3, cube)), 2},
        {"stretched twice", flt_broadcast(g, flt_broadcast(g, row, 2, dim), 3, cube), 1},
        {"constants", flt_exp(g, flt_add(g, x, flt_exp(g, flt_log(g, two)))), 2},
        {"equal nodes", flt_mul(g, flt_add(g, x, y), flt_add(g, y, x)), 2},
        {"end of a layer", flt_relu(g, flt_add(g, x, row)), 1},
        {"reshapes", flt_reshape(g, flt_exp(g, flt_reshape(g, x, 1, (size_t[]){9})), 2, dim), 1},
        {"sum over an axis of length 1", flt_exp(g, flt_reduce_sum(g, flt_reshape(g, x, 3, (size_t[]){3, 1, 3}), 2, false)), 1},
        {"whole slice", flt_exp(g, flt_slice(g, x, 1, 0, 3)), 1},
        {"no padding", flt_exp(g, flt_pad(g, x, 1, 0, 0)), 1},
        {"one part", flt_exp(g, flt_concat(g, 1, &x, 1)), 1},
        {"dead nodes", flt_exp(g, x), 1},
    };
    for (size_t i = 0; i < sizeof test / sizeof *test; i++) {
        assert_as_written(g, test[i].node, 4, in, test[i].label);
        cr_assert(eq(sz, steps(g, test[i].node), test[i].steps), "%s", test[i].label);
    }
    flt_graph_destroy(g);
}

// Differentiating in a node that the executor simplifies away, and in a constant.
Test(graph, gradient_in_inner_nodes) {
    flt_graph *g = NULL;
    flt_exec *e = NULL;
    cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
    const flt_real three = 3;
    const flt_node x = flt_input(g, "x", 0, NULL), sum = flt_add(g, x, flt_scalar(g, -1)), c = flt_scalar(g, 2);
    const flt_node y = flt_mul(g, flt_relu(g, sum), flt_square(g, c)), unused = flt_input(g, "unused", 1, (size_t[]){2});
    flt_node d[4];
    cr_assert(eq(int, flt_gradient(g, y, 4, (flt_node[]){x, sum, c, unused}, d), FLTE_OK), "%s", flt_error());
    cr_assert(eq(int, flt_exec_create(g, 4, d, &e), FLTE_OK), "%s", flt_error());
    flt_exec_bind(e, x, &three);
    flt_exec_run(e);
    const flt_real want[] = {4, 4, 8, 0};
    for (size_t i = 0; i < 4; i++) cr_assert(flt_exec_output(e, i)[0] == want[i], "%zu: %g", i, (double)*flt_exec_output(e, i));
    cr_assert(flt_exec_output(e, 3)[1] == 0);
    flt_exec_destroy(e);
    flt_graph_destroy(g);
}

static flt_err create_all(flt_exec **e, network *n) {
    *e = NULL;
    FLTX_TRY(make(n));
    return flt_exec_create(n->graph, OUTPUTS, n->out, e);
}

Test(graph, every_allocation_may_fail) {
    flt_err err = FLTE_NOMEM;
    long at = 0;
    for (; err != FLTE_OK; at++) {
        network n;
        flt_exec *e = NULL;
        flt_fail_alloc_after(at);
        err = create_all(&e, &n);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "request %ld: %s", at, flt_error());
        flt_exec_destroy(e);
        flt_graph_destroy(n.graph);
        cr_assert(eq(sz, flt_live_blocks(), 0), "request %ld", at);
    }
    cr_assert(at > 100, "%ld requests", at);
}

// Forty different widths make a graph whose buffers come and go in all sizes.
Test(graph, random_chains_agree_with_and_without_sharing) {
    for (uint64_t seed = 0; seed < 40; seed++) {
        flt_graph *g = NULL;
        flt_exec *e[2];
        flt_node pool[48];
        flt_real data[12];
        const flt_rng r = flt_rng_make(seed, "chain", 0);
        cr_assert(eq(int, flt_graph_create(&g), FLTE_OK));
        flt_rng_normal(r, 1000, 12, data);
        pool[0] = flt_input(g, "x", 2, (size_t[]){4, 3});
        for (size_t i = 1; i < 48; i++) {
            const flt_node a = pool[flt_rng_below(r, 3 * i, i)], b = pool[flt_rng_below(r, 3 * i + 1, i)];
            const size_t back[2] = {1, 0}, size[2] = {4, 3};
            const flt_node tall = flt_broadcast(g, a, 3, (size_t[]){1 + i % 5, 4, 3});
            const flt_node choice[] = {flt_tanh(g, flt_add(g, a, b)),
                                       flt_relu(g, flt_sub(g, a, b)),
                                       flt_matmul(g, flt_softmax(g, flt_matmul(g, a, b, false, true)), b, false, false),
                                       flt_reshape(g, flt_transpose(g, a, back), 2, size),
                                       flt_mul(g, a, flt_reduce_mean(g, b, 2, true)),
                                       flt_reduce_sum(g, flt_mul(g, tall, tall), 1, false)};
            pool[i] = flt_tanh(g, choice[flt_rng_below(r, 3 * i + 2, 6)]);
        }
        for (unsigned flags = 0; flags < 2; flags++) {
            cr_assert(eq(int, flt_exec_create_with(g, 3, pool + 45, flags, &e[flags]), FLTE_OK), "%s", flt_error());
            flt_exec_bind(e[flags], pool[0], data);
            flt_exec_run(e[flags]);
            flt_exec_run(e[flags]);
        }
        for (size_t i = 0; i < 3; i++)
            cr_assert(memcmp(flt_exec_output(e[0], i), flt_exec_output(e[1], i), 12 * sizeof(flt_real)) == 0, "seed %zu",
                      (size_t)seed);
        flt_exec_destroy(e[0]);
        flt_exec_destroy(e[1]);
        flt_graph_destroy(g);
    }
}
