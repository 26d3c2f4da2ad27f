// SPDX-License-Identifier: MIT
// Shared by the tests of ops: a graph of one op over inputs `a` and `b`, run into `got`, judged against long double.
// ratio = |got - want| / (eps growth scale); pass below 30.
#ifndef FLTX_OP_TEST_SUPPORT_H
#define FLTX_OP_TEST_SUPPORT_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../graph/engine/op.h"
#include "flt/random.h"

enum { MOST = 8192 };

typedef long double real;

typedef struct shape {
    size_t rank, dim[5];
} shape;

static flt_graph *graph; // of the test that runs
static flt_real a[MOST], b[MOST], got[MOST];

__attribute__((unused)) static size_t count(shape s) {
    size_t n = 1;
    for (size_t i = 0; i < s.rank; i++) n *= s.dim[i];
    return n;
}

static void begin(void) {
    cr_assert(eq(int, flt_graph_create(&graph), FLTE_OK));
}

static flt_node input(shape s) {
    return flt_input(graph, "x", s.rank, s.dim);
}

__attribute__((unused)) static void fill(const char *tag, double low, double high, size_t n, flt_real *x) {
    flt_rng_uniform(flt_rng_make(11, tag, n), 0, n, x);
    for (size_t i = 0; i < n; i++) x[i] = (flt_real)low + (flt_real)(high - low) * x[i];
}

__attribute__((unused)) static void whole_numbers(size_t limit, size_t n, flt_real *x) {
    for (size_t i = 0; i < n; i++) x[i] = (flt_real)((i * 7 + 3) % limit);
}

// Runs y over the inputs x0 = a and x1 = b (a bad node: absent) into `got`; destroys the graph.
static size_t run(flt_node y, flt_node x0, flt_node x1, const char *label) {
    flt_exec *e = NULL;
    const size_t n = flt_node_count(graph, y);
    cr_assert(eq(int, flt_exec_create(graph, 1, &y, &e), FLTE_OK), "%s: %s", label, flt_error());
    cr_assert(le(sz, n, MOST), "%s", label);
    flt_exec_bind(e, x0, a);
    flt_exec_bind(e, x1, b);
    flt_exec_run(e);
    memcpy(got, flt_exec_output(e, 0), n * sizeof *got);
    flt_exec_destroy(e);
    flt_graph_destroy(graph);
    return n;
}

static void judge(size_t i, real want, real growth, real scale, const char *label) {
    const real ratio = fabsl((real)got[i] - want) / (FLTX_EPS * growth * scale);
    cr_assert(ratio <= 30, "%s: element %zu is %.9g, not %.9Lg; ratio %.3Lg", label, i, (double)got[i], want, ratio);
}

#endif
