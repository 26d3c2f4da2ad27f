// SPDX-License-Identifier: MIT
// Does NPRF take its fastest way? A plan as it chooses for itself beside plans that are told to use tiles alone, and transforms
// from several sizes on; one head of width 64, one thread, over N, m, dv, causal and not.
//
//   cmake --build build/release --target nprf_ways && build/release/core/nprf_ways      [longest N, default 8192]
//
// Prints the least processor times in milliseconds over rounds taken in turn, and by how much the choice is slower than the best.
// Plans that give the same bits went the same way: they count as one. Exit status 1 when a choice is more than 1.1 times slower.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flt/attention.h"
#include "flt/memory.h"
#include "flt/params.h"
#include "flt/random.h"

enum { WIDTH = 64, MOST = 30, LEAST = 3, WAYS = 6 };

// The first is its own choice; what causal plans alone know comes last.
static const char *const ways[WAYS] = {
    "", ",crossover=1000000", ",crossover=1", ",crossover=192", ",crossover=768", ",crossover=1536"};
static const size_t both_know = 3;

typedef struct shape {
    bool causal;
    size_t N, m, dv;
} shape;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void need(flt_err err) {
    if (err == FLTE_OK) return;
    fprintf(stderr, "nprf_ways: %s\n", flt_error());
    exit(3);
}

static flt_attention *plan(const shape *s, const char *way, const double *lags) {
    const flt_attention_kind *kind = NULL;
    flt_params *p = NULL;
    flt_attention *a = NULL;
    char text[64];
    const flt_attention_arg arg = {.name = "lag_bias", .rank = 1, .dim = {2 * s->N - 1}, .data = lags};
    flt_attention_desc d = {
        .mechanism = "nprf", .B = 1, .H = 1, .N = s->N, .d = WIDTH, .dv = s->dv, .causal = s->causal, .seed = 1};
    snprintf(text, sizeof text, "m=%zu%s", s->m, way);
    need(flt_attention_find("nprf", &kind));
    need(flt_params_create("nprf", kind->kind.params, &p));
    need(flt_params_parse(p, text));
    d.params = p, d.args = &arg, d.n_args = 1;
    need(flt_attention_create(&d, &a));
    flt_params_destroy(p);
    return a;
}

// least [n] times of the plans; same [n]: the output has the bits of the first one's.
static void race(const shape *s, size_t n, flt_attention **a, double *least, bool *same) {
    flt_real *x = NULL, *v = NULL, *out = NULL, *first = NULL;
    const flt_rng rng = flt_rng_make(1, "nprf_ways", s->N);
    need(flt_alloc(s->N * WIDTH, sizeof *x, &x));
    need(flt_alloc(s->N * s->dv, sizeof *v, &v));
    need(flt_alloc(s->N * s->dv, sizeof *out, &out));
    need(flt_alloc(s->N * s->dv, sizeof *first, &first));
    flt_rng_normal(flt_rng_child(rng, "x", 0), 0, s->N * WIDTH, x);
    flt_rng_normal(flt_rng_child(rng, "v", 0), 0, s->N * s->dv, v);
    for (size_t i = 0; i < n; i++) {
        flt_attention_forward(a[i], x, x, v, i == 0 ? first : out);
        same[i] = i == 0 || memcmp(out, first, s->N * s->dv * sizeof *out) == 0;
        least[i] = INFINITY;
    }
    const double start = now();
    for (int round = 0; round < LEAST || (round < MOST && now() - start < 1); round++)
        for (size_t i = 0; i < n; i++) {
            const double before = now();
            flt_attention_forward(a[i], x, x, v, out);
            least[i] = fmin(least[i], now() - before);
        }
    flt_real *const all[] = {x, v, out, first};
    for (int i = 0; i < 4; i++) flt_free(all[i]);
}

// By how much the choice is slower than the best of the others.
static double judge(const shape *s) {
    flt_attention *a[WAYS];
    double *lags = NULL, least[WAYS], mine = INFINITY, best = INFINITY;
    bool same[WAYS];
    const size_t n = s->causal ? WAYS : both_know;
    need(flt_alloc(2 * s->N - 1, sizeof *lags, &lags));
    for (size_t i = 0; i < 2 * s->N - 1; i++) lags[i] = 0.5 * sin(0.37 * (double)i);
    for (size_t i = 0; i < n; i++) a[i] = plan(s, ways[i], lags);
    race(s, n, a, least, same);
    printf("%-8s N=%-5zu m=%-4zu dv=%-4zu", s->causal ? "causal" : "both", s->N, s->m, s->dv);
    for (size_t i = 0; i < n; i++) {
        if (same[i]) mine = fmin(mine, least[i]);
        best = fmin(best, least[i]);
        printf(" %9.3f%s", 1e3 * least[i], same[i] ? "*" : " ");
        flt_attention_destroy(a[i]);
    }
    printf("  %.3f\n", mine / best);
    fflush(stdout);
    flt_free(lags);
    return mine / best;
}

int main(int argc, char **argv) {
    static const size_t N[] = {256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 4096, 6144, 8192},
                        m[] = {16, 32, 64, 256}, dv[] = {16, 64, 128};
    const size_t longest = argc > 1 ? strtoul(argv[1], NULL, 10) : 8192;
    size_t sizes = 0, slower = 0;
    for (int causal = 0; causal < 2; causal++)
        for (size_t i = 0; i < 4; i++)
            for (size_t j = 0; j < 3; j++)
                for (size_t k = 0; k < 13; k++) {
                    const shape s = {causal == 1, N[k], m[i], dv[j]};
                    if ((m[i] != 32 && dv[j] != 64) || s.N > longest) continue;
                    if ((double)(s.N * s.N) * (double)(s.m * s.dv) > 6e10) continue; // minutes by tiles
                    sizes++;
                    slower += judge(&s) > 1.1;
                }
    printf("%zu of %zu choices more than 1.1 times slower than the best way (*: the ways that are the choice's own)\n", slower,
           sizes);
    return slower > 0;
}
