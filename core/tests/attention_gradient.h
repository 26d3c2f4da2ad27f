// SPDX-License-Identifier: MIT
// Gradients of attention against differences of long double loops, in a random direction of each input and argument.
//
// The loops follow the definitions alone (explicit weights, no scales, no tiles). A difference of sixth order with step 2e-4 is
// good to 1e-15, so the ratios are in units of eps in both builds.
#ifndef ATTENTION_GRADIENT_H
#define ATTENTION_GRADIENT_H

#include "attention_support.h"

enum { TARGETS = 3 + MAX_ARGS };
static const char *const inputs3[3] = {"q", "k", "v"};

typedef struct backward backward;

// A [N, N] = unnormalised weights of head h, from b->x alone.
typedef void (*weights_by_loops)(const backward *b, size_t h, const long double *q, const long double *k, long double *A);

struct backward {
    problem p;
    weights_by_loops weights;
    size_t m, r, l;
    flt_real *dout, *d[3];   // gradients of q, k, v
    double *dargs[MAX_ARGS]; // of the arguments, NULL: none
    long double *x[TARGETS]; // q, k, v, arguments, moved by the differences
    size_t count[TARGETS];
};

// ---- the loops

static inline const long double *oracle_arg(const backward *b, const char *name, size_t rank, size_t h) {
    for (size_t i = 0; i < b->p.n_args; i++) {
        const flt_attention_arg *a = &b->p.args[i];
        if (strcmp(a->name, name) != 0) continue;
        return a->rank == rank ? b->x[3 + i] : b->x[3 + i] + h * (arg_count(a) / a->dim[0]);
    }
    return NULL;
}

// sum dout o out
static inline long double oracle_loss(const backward *b) {
    const size_t N = b->p.N, d = b->p.d, dv = b->p.dv;
    long double *A = take(N * N, sizeof *A), loss = 0;
    for (size_t bh = 0; bh < b->p.B * b->p.H; bh++) {
        b->weights(b, bh % b->p.H, b->x[0] + bh * N * d, b->x[1] + bh * N * d, A);
        for (size_t i = 0; i < N; i++) {
            long double den = 0, num = 0;
            for (size_t j = 0; j < (b->p.causal ? i + 1 : N); j++) {
                long double dot = 0;
                for (size_t c = 0; c < dv; c++) dot += b->dout[(bh * N + i) * dv + c] * b->x[2][(bh * N + j) * dv + c];
                num += A[i * N + j] * dot;
                den += A[i * N + j];
            }
            loss += num / den;
        }
    }
    flt_free(A);
    return loss;
}

// ---- the library

// Positions and draws have none.
static inline bool has_gradient(const char *name) {
    static const char *const without[] = {"pos", "z", "eps", "noise"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (strcmp(name, without[i]) == 0) return false;
    return true;
}

static inline void prepare(backward *b) {
    const size_t tokens = b->p.B * b->p.H * b->p.N;
    const flt_real *in[3] = {b->p.q, b->p.k, b->p.v};
    b->p.backward = true;
    b->dout = reals(tokens * b->p.dv);
    fill(b->p.seed + 9, tokens * b->p.dv, b->dout);
    for (size_t t = 0; t < 3 + b->p.n_args; t++) {
        b->count[t] = t < 3 ? tokens * (t < 2 ? b->p.d : b->p.dv) : arg_count(&b->p.args[t - 3]);
        b->x[t] = take(b->count[t], sizeof **b->x);
        for (size_t i = 0; i < b->count[t]; i++)
            b->x[t][i] = t < 3 ? (long double)in[t][i] : (long double)b->p.args[t - 3].data[i];
        if (t < 3) b->d[t] = reals(b->count[t]);
        if (t >= 3 && has_gradient(b->p.args[t - 3].name)) b->dargs[t - 3] = take(b->count[t], sizeof(double));
    }
}

static inline void drop(backward *b) {
    for (size_t t = 0; t < 3 + b->p.n_args; t++) flt_free(b->x[t]);
    for (size_t t = 0; t < 3; t++) flt_free(b->d[t]);
    for (size_t i = 0; i < MAX_ARGS; i++) flt_free(b->dargs[i]);
    flt_free(b->dout);
    drop_problem(&b->p);
}

static inline void differentiate(backward *b) {
    flt_attention *a = plan_of(&b->p);
    flt_attention_gradient args[MAX_ARGS];
    size_t n = 0;
    for (size_t i = 0; i < b->p.n_args; i++) {
        if (b->dargs[i] != NULL) args[n++] = (flt_attention_gradient){b->p.args[i].name, b->dargs[i]};
    }
    flt_attention_forward(a, b->p.q, b->p.k, b->p.v, b->p.out);
    const flt_attention_pass pass = {b->p.q, b->p.k, b->p.v, b->p.out, b->dout, b->d[0], b->d[1], b->d[2], n, args};
    const size_t before = flt_alloc_count();
    const flt_err err = flt_attention_backward(a, &pass);
    cr_assert(eq(int, err, FLTE_OK), "%s: %s", label(&b->p), flt_error());
    cr_assert(eq(sz, flt_alloc_count(), before), "%s: backward allocates", label(&b->p));
    flt_attention_destroy(a);
}

// ---- comparison

static inline void move(backward *b, size_t t, const double *dir, long double by) {
    for (size_t i = 0; i < b->count[t]; i++) b->x[t][i] += by * dir[i];
}

// What is multiplied with positions.
static inline bool turns(const backward *b, size_t t) {
    return t >= 3 && (strcmp(b->p.args[t - 3].name, "xi") == 0 || strcmp(b->p.args[t - 3].name, "freqs") == 0);
}

static inline long double difference(backward *b, size_t t, const double *dir) {
    const size_t reach = b->p.N < 9 ? 9 : b->p.N; // of positions
    const long double h = turns(b, t) ? 6e-4L / reach : 2e-4L;
    const long double at[6] = {-3, -2, -1, 1, 2, 3}, weight[6] = {-1, 9, -45, 45, -9, 1};
    long double sum = 0, now = 0;
    for (size_t s = 0; s < 6; s++) {
        move(b, t, dir, (at[s] - now) * h);
        now = at[s];
        sum += weight[s] * oracle_loss(b);
    }
    move(b, t, dir, -now * h);
    return sum / (60 * h);
}

// |<g, dir> - difference| over what rounding of g's components by eps would give; a gradient that vanishes is held against the
// size of the loss.
static inline double compare(backward *b, size_t t) {
    const size_t n = b->count[t];
    double *dir = take(n, sizeof *dir), g2 = 0, dir2 = 0;
    long double dot = 0, size = 0;
    uint64_t state = 77 + t;
    for (size_t i = 0; i < n; i++) {
        const double g = t < 3 ? (double)b->d[t][i] : b->dargs[t - 3][i];
        dir[i] = next_real(&state);
        dot += (long double)g * dir[i];
        g2 += g * g, dir2 += dir[i] * dir[i];
    }
    for (size_t i = 0; i < b->p.B * b->p.H * b->p.N * b->p.dv; i++) size += fabsl((long double)b->dout[i] * b->p.out[i]);
    const long double want = difference(b, t, dir), scale = sqrtl(dir2 / n) * (sqrtl(g2) + sqrtl(size));
    flt_free(dir);
    // positions are centred nowhere: terms cancel between queries and keys
    const double growth = turns(b, t) ? 4 * GROWTH : GROWTH;
    const double ratio = (double)(fabsl(dot - want) / (FLTX_EPS * growth * scale));
    return isnan(ratio) ? INFINITY : ratio;
}

// The forward pass is that of the loops, too.
static inline void check_loss(const backward *b) {
    long double got = 0, size = 0;
    for (size_t i = 0; i < b->p.B * b->p.H * b->p.N * b->p.dv; i++) {
        got += (long double)b->dout[i] * b->p.out[i];
        size += fabsl((long double)b->dout[i] * b->p.out[i]);
    }
    const double ratio = (double)(fabsl(got - oracle_loss(b)) / (FLTX_EPS * GROWTH * size));
    cr_assert(le(dbl, isnan(ratio) ? INFINITY : ratio, PASS), "%s: output", label(&b->p));
}

static inline void check_gradients(backward *b) {
    for (size_t t = 0; t < 3 + b->p.n_args; t++) {
        if (t >= 3 && b->dargs[t - 3] == NULL) continue;
        const double ratio = compare(b, t);
        if (getenv("SHOW_RATIOS"))
            fprintf(stderr, "%8.2f %s d%s\n", ratio, label(&b->p), t < 3 ? inputs3[t] : b->p.args[t - 3].name);
        cr_assert(le(dbl, ratio, PASS), "%s: gradient of %s", label(&b->p), t < 3 ? inputs3[t] : b->p.args[t - 3].name);
    }
}

static inline void check_all(backward *b) {
    prepare(b);
    differentiate(b);
    check_loss(b);
    check_gradients(b);
    drop(b);
}

// ---- cases

static const size_t sizes[] = {1, 2, 3, 31, 33, 64, 130};
enum { SIZES = sizeof sizes / sizeof *sizes };
static const size_t shapes[][4] = {{1, 1, 3, 2}, {2, 3, 1, 5}, {1, 2, 8, 1}, {2, 1, 5, 3}}; // B, H, d, dv
enum { SHAPES = sizeof shapes / sizeof *shapes };

static inline backward start_with(weights_by_loops weights, const char *mechanism, const char *params, size_t N, size_t shape,
                                  bool causal) {
    const size_t *s = shapes[shape % SHAPES];
    backward b = {.weights = weights,
                  .p = {.mechanism = mechanism, .params = params, .B = s[0], .H = s[1], .N = N, .d = s[2], .dv = s[3]}};
    b.p.causal = causal, b.p.seed = N + shape, b.p.threads = 1 + (int)(N % 2);
    inputs(&b.p, 1.0);
    return b;
}

#endif
