// SPDX-License-Identifier: MIT
// What the computation graph costs over C written by hand: loss and gradient of a 64-32-10 network (ReLU, batch 64), the graph's
// executor beside BLAS calls and plain loops, and the time per node of a graph of tiny nodes.
//
//   cmake --build build/release --target graph_overhead && build/release/core/graph_overhead
//
// Both sides run in turn, in blocks; medians over the blocks. Compiled with -O3 -march=native, so that the loops by hand are at
// their best.
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flt/graph.h"
#include "flt/num.h"

#ifdef FLTX_DOUBLE
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

enum { B = 64, N = 64, H = 32, C = 10, ROUNDS = 301, BLOCK = 50, CHAIN = 2000 };

typedef struct network {
    flt_real x[B * N], label[B], w1[N * H], b1[H], w2[H * C], b2[C];
    flt_real loss, dw1[N * H], db1[H], dw2[H * C], db2[C];
} network;

typedef struct by_hand {
    flt_real h[B * H], dh[B * H], p[B * C];
} by_hand;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- by hand

static void forward(const network *n, by_hand *t) {
    GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, B, H, N, 1, n->x, N, n->w1, H, 0, t->h, H);
    for (size_t r = 0; r < B; r++)
        for (size_t i = 0; i < H; i++) {
            const flt_real z = t->h[r * H + i] + n->b1[i];
            t->h[r * H + i] = z > 0 ? z : 0;
        }
    GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, B, C, H, 1, t->h, H, n->w2, C, 0, t->p, C);
}

// p becomes the gradient in the logits.
static flt_real softmax_loss(const network *n, flt_real *p) {
    double loss = 0;
    for (size_t r = 0; r < B; r++) {
        flt_real *z = p + r * C, most = -INFINITY;
        for (size_t i = 0; i < C; i++) {
            z[i] += n->b2[i];
            most = z[i] > most ? z[i] : most;
        }
        for (size_t i = 0; i < C; i++) z[i] -= most;
        loss -= (double)z[(size_t)n->label[r]];
    }
    flt_vexp(B * C, p, p);
    for (size_t r = 0; r < B; r++) {
        flt_real *z = p + r * C, sum = 0;
        for (size_t i = 0; i < C; i++) sum += z[i];
        loss += log((double)sum);
        const flt_real factor = 1 / (sum * B);
        for (size_t i = 0; i < C; i++) z[i] *= factor;
        z[(size_t)n->label[r]] -= (flt_real)1 / B;
    }
    return (flt_real)(loss / B);
}

static void column_sums(size_t rows, size_t cols, const flt_real *x, flt_real *y) {
    memset(y, 0, cols * sizeof *y);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < cols; i++) y[i] += x[r * cols + i];
}

static void run_by_hand(network *n, by_hand *t) {
    forward(n, t);
    n->loss = softmax_loss(n, t->p);
    GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, H, C, B, 1, t->h, H, t->p, C, 0, n->dw2, C);
    column_sums(B, C, t->p, n->db2);
    GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, B, H, C, 1, t->p, C, n->w2, C, 0, t->dh, H);
    for (size_t i = 0; i < B * H; i++) t->dh[i] = t->h[i] > 0 ? t->dh[i] : 0;
    GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, N, H, B, 1, n->x, N, t->dh, H, 0, n->dw1, H);
    column_sums(B, H, t->dh, n->db1);
}

// ---- by graph

static void must(flt_err err) {
    if (err == FLTE_OK) return;
    fprintf(stderr, "%s\n", flt_error());
    exit(3);
}

static flt_exec *graph_of(const network *n) {
    flt_graph *g = NULL;
    flt_exec *e = NULL;
    must(flt_graph_create(&g));
    const flt_node x = flt_input(g, "x", 2, (size_t[]){B, N}), label = flt_input(g, "label", 1, (size_t[]){B});
    const flt_node p[4] = {flt_input(g, "w1", 2, (size_t[]){N, H}), flt_input(g, "b1", 1, (size_t[]){H}),
                           flt_input(g, "w2", 2, (size_t[]){H, C}), flt_input(g, "b2", 1, (size_t[]){C})};
    const flt_real *const data[4] = {n->w1, n->b1, n->w2, n->b2};
    const flt_node h = flt_relu(g, flt_add(g, flt_matmul(g, x, p[0], false, false), p[1]));
    const flt_node logits = flt_add(g, flt_matmul(g, h, p[2], false, false), p[3]);
    flt_node out[5] = {flt_softmax_cross_entropy(g, logits, label)};
    must(flt_gradient(g, out[0], 4, p, out + 1));
    must(flt_exec_create(g, 5, out, &e));
    flt_exec_bind(e, x, n->x);
    flt_exec_bind(e, label, n->label);
    for (size_t i = 0; i < 4; i++) flt_exec_bind(e, p[i], data[i]);
    flt_graph_destroy(g);
    return e;
}

static double difference(const network *n, const flt_exec *e) {
    const flt_real *const want[5] = {&n->loss, n->dw1, n->db1, n->dw2, n->db2};
    const size_t count[5] = {1, N * H, H, H * C, C};
    double most = 0;
    for (size_t k = 0; k < 5; k++)
        for (size_t i = 0; i < count[k]; i++) most = fmax(most, fabs((double)want[k][i] - (double)flt_exec_output(e, k)[i]));
    return most;
}

// ---- timing

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *t) {
    qsort(t, ROUNDS, sizeof *t, ascending);
    return t[ROUNDS / 2];
}

static void compare(network *n, by_hand *t, flt_exec *e) {
    static double hand[ROUNDS], graph[ROUNDS], ratio[ROUNDS];
    for (size_t r = 0; r < ROUNDS; r++) {
        const double start = now();
        for (size_t i = 0; i < BLOCK; i++) run_by_hand(n, t);
        const double middle = now();
        for (size_t i = 0; i < BLOCK; i++) flt_exec_run(e);
        const double end = now();
        hand[r] = (middle - start) / BLOCK;
        graph[r] = (end - middle) / BLOCK;
        ratio[r] = graph[r] / hand[r];
    }
    printf("64-32-10 network, batch 64, loss and gradient (%s, %s, %s)\n", FLTX_REAL_NAME, flt_num_blas(), flt_num_isa());
    printf("  by hand   %8.2f us\n  by graph  %8.2f us, %zu nodes, %zu bytes\n", 1e6 * median(hand), 1e6 * median(graph),
           flt_exec_nodes(e), flt_exec_bytes(e));
    printf("  ratio     %8.2f (median), largest difference %.2g\n", median(ratio), difference(n, e));
}

// A chain of sums of two elements: what a node costs when it does next to nothing.
static void per_node(void) {
    static double time[ROUNDS];
    static const flt_real zero[2], one[2] = {1, 1};
    flt_graph *g = NULL;
    flt_exec *e = NULL;
    must(flt_graph_create(&g));
    const flt_node x = flt_input(g, "x", 1, (size_t[]){2}), y = flt_input(g, "y", 1, (size_t[]){2});
    flt_node sum = x;
    for (size_t i = 0; i < CHAIN; i++) sum = flt_add(g, sum, y);
    must(flt_exec_create(g, 1, &sum, &e));
    flt_exec_bind(e, x, zero);
    flt_exec_bind(e, y, one);
    for (size_t r = 0; r < ROUNDS; r++) {
        const double start = now();
        flt_exec_run(e);
        time[r] = now() - start;
    }
    printf("a node that adds two elements: %.1f ns (%zu nodes)\n", 1e9 * median(time) / (double)flt_exec_nodes(e),
           flt_exec_nodes(e));
    flt_exec_destroy(e);
    flt_graph_destroy(g);
}

int main(void) {
    static network n;
    static by_hand t;
    const flt_rng r = flt_rng_make(1, "graph_overhead", 0);
    flt_rng_normal(r, 0, B * N, n.x);
    flt_rng_normal(flt_rng_child(r, "w1", 0), 0, N * H, n.w1);
    flt_rng_normal(flt_rng_child(r, "w2", 0), 0, H * C, n.w2);
    for (size_t i = 0; i < N * H; i++) n.w1[i] *= (flt_real)0.1;
    for (size_t i = 0; i < B; i++) n.label[i] = (flt_real)(i % C);
    flt_num_init();
    flt_exec *e = graph_of(&n);
    compare(&n, &t, e);
    per_node();
    flt_exec_destroy(e);
    return 0;
}
