// SPDX-License-Identifier: MIT
// The direct way of attention with a factor a lag, from log features that are set by hand: tiles whose products are in range
// beside others, lags over any range, what a row's bits may depend on.
#include "attention_support.h"

#include "../attention/engine/lagged_direct.h"

enum { N = 200, M = 6, DV = 5, TILE = FLTX_LAGGED_TILE };

typedef struct head {
    flt_att_lagged *a;
    bool causal;
    double lags[2 * N - 1];
    flt_real lq[N * M], lk[N * M], v[N * DV], out[N * DV];
} head;

static void start(head *h, bool causal) {
    const flt_attention_desc desc = {
        .mechanism = "nprf", .B = 1, .H = 1, .N = N, .d = M, .dv = DV, .causal = causal, .threads = 1};
    uint64_t seed = 5;
    h->causal = causal;
    fill(1, N * M, h->lq), fill(2, N * M, h->lk), fill(3, N * DV, h->v);
    for (size_t i = 0; i < N * M; i++) h->lq[i] *= 3, h->lk[i] *= 3;
    for (size_t i = 0; i < 2 * N - 1; i++) h->lags[i] = 2 * next_real(&seed);
    cr_assert(eq(int, flt_att_lagged_create(&desc, M, 1, 1 << 20, NULL, &h->a), FLTE_OK), "%s", flt_error());
}

// Rows of tiles that went the long way.
static size_t run(head *h) {
    flt_att_lagged_slot *w = h->a->slots;
    flt_att_lagged_load(h->a, h->lags);
    memcpy(w->lq, h->lq, sizeof h->lq), memcpy(w->lk, h->lk, sizeof h->lk);
    w->apart = w->flagged = 0;
    flt_att_lagged_run(h->a, 0, 0, h->v, h->out);
    return w->apart;
}

static double judge(const head *h) {
    static long double weight[N * N], want[N * DV];
    for (size_t i = 0; i < N; i++) {
        long double top = -HUGE_VALL;
        for (int pass = 0; pass < 2; pass++)
            for (size_t j = 0; j < (h->causal ? i + 1 : N); j++) {
                const long double b = h->lags[j + N - 1 - i];
                if (pass > 0) weight[i * N + j] = 0;
                for (size_t f = 0; f < M; f++) {
                    const long double x = b + h->lq[i * M + f] + h->lk[j * M + f];
                    if (pass == 0) top = fmaxl(top, x);
                    if (pass > 0) weight[i * N + j] += expl(x - top);
                }
            }
    }
    oracle_average(N, DV, h->causal, weight, h->v, want);
    return judge_rows(N * DV, h->out, want);
}

static void finish(head *h) {
    flt_att_lagged_destroy(h->a);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

static void shift_key(head *h, size_t j, flt_real by) {
    for (size_t f = 0; f < M; f++) h->lk[j * M + f] += by;
}

static const flt_real far = sizeof(flt_real) == 4 ? 25 : 250;

// Products out of range in one tile of keys, in rows of one tile of queries, in one of all keys.
Test(attention_lagged, tiles_in_range_beside_others) {
    for (int causal = 0; causal < 2; causal++) {
        head h;
        start(&h, causal);
        cr_assert(eq(sz, run(&h), 0), "all in range");
        cr_assert(le(dbl, judge(&h), PASS), "causal=%d", causal);
        shift_key(&h, 70, 2 * far);
        cr_assert(eq(sz, run(&h), causal ? N - 70 : N), "one tile of keys, the rows that see the key");
        cr_assert(le(dbl, judge(&h), 3 * PASS), "causal=%d: a key above the range", causal);
        shift_key(&h, 70, -5 * far);
        cr_assert(eq(sz, run(&h), causal ? N - 70 : N));
        cr_assert(le(dbl, judge(&h), 3 * PASS), "causal=%d: a key below the range", causal);
        shift_key(&h, 70, 3 * far);
        for (size_t f = 0; f < M; f++) h.lq[80 * M + f] = f == 0 ? 0 : -6 * far; // sees feature 0 alone,
        for (size_t j = 0; j < TILE; j++) h.lk[j * M] -= j % 2 ? 0 : 4 * far;    // which many keys lack
        cr_assert(gt(sz, run(&h), 0));
        cr_assert(le(dbl, judge(&h), 3 * PASS), "causal=%d: a row of small products", causal);
        finish(&h);
    }
}

static bool by_transforms(size_t tokens, double direct, double transforms) {
    const flt_attention_desc desc = {.mechanism = "nprf", .B = 1, .H = 1, .N = tokens, .d = 8, .dv = 16, .threads = 1};
    flt_att_lagged *a = NULL;
    cr_assert(eq(int, flt_att_lagged_create(&desc, 16, 1, FLTX_LAGGED_AUTO, (double[]){direct, transforms}, &a), FLTE_OK));
    const bool any = a->levels > 0;
    flt_att_lagged_destroy(a);
    return any;
}

// Short sequences go by tiles and long ones by transforms; what was measured moves the border.
Test(attention_lagged, the_faster_way_is_taken) {
    const flt_attention_desc desc = {.mechanism = "nprf", .B = 1, .H = 1, .N = 9, .d = 8, .dv = 16, .threads = 1};
    double pace[2] = {0, 0};
    cr_assert(eq(int, by_transforms(300, 1, 1), false));
    cr_assert(eq(int, by_transforms(20000, 1, 1), true));
    cr_assert(eq(int, by_transforms(300, 30, 1), true));
    cr_assert(eq(int, by_transforms(20000, 1, 50), false));
    cr_assert(eq(int, flt_att_lagged_measure(&desc, 16, pace), FLTE_OK));
    cr_assert(pace[0] > 0.02 && pace[0] < 1000 && pace[1] > 0.02 && pace[1] < 1000, "%g %g", pace[0], pace[1]);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

static double difference(const flt_real *x, const flt_real *y) {
    double most = 0;
    for (size_t i = 0; i < N * DV; i++) most = fmax(most, fabs((double)x[i] - (double)y[i]));
    return most / FLTX_EPS;
}

// A feature that no query has, and of which keys have too much: every tile goes the long way, to the same outputs.
Test(attention_lagged, the_long_way_agrees_with_the_short_one) {
    for (int causal = 0; causal < 2; causal++) {
        head h;
        flt_real shortly[N * DV];
        start(&h, causal);
        for (size_t i = 0; i < N; i++) h.lq[i * M] = -1000, h.lk[i * M] = 0;
        cr_assert(eq(sz, run(&h), 0));
        memcpy(shortly, h.out, sizeof shortly);
        for (size_t j = 0; j < N; j++) h.lk[j * M] = j % TILE == 0 ? 0 : far;
        cr_assert(ge(sz, run(&h), N * (causal ? 1 : 4) - 1), "all but a row that sees one key");
        cr_assert(le(dbl, difference(shortly, h.out), PASS), "causal=%d", causal);
        finish(&h);
    }
}

static void set_lags(head *h, size_t kind) {
    uint64_t seed = kind;
    for (size_t i = 0; i < 2 * N - 1; i++) {
        const double z = (double)i - (N - 1), random = 2 * next_real(&seed);
        h->lags[i] = kind == 0   ? (fabs(z) > 70 ? -1e4 : random)            // a window
                     : kind == 1 ? (fabs(z) <= 70 && z != 0 ? -1e4 : random) // all but a window
                     : kind == 2 ? (i % 3 == 0 ? -1e4 : random)
                     : kind == 3 ? -1e4 + random
                     : kind == 4 ? -0.5 * fabs(z)
                     : kind == 5 ? -3 * fabs(z)
                     : kind == 6 ? 3 * z
                     : kind == 7 ? -2 * z
                     : kind == 8 ? 35 * random
                                 : (z > 0 ? 1e4 : -1e4) + random; // a causal row does not see the large ones
    }
}

// Masks of -1e4, slopes, lags over a hundred orders of magnitude; where lags are large their own rounding is, too.
Test(attention_lagged, lags_of_any_size) {
    for (size_t kind = 0; kind < 10; kind++)
        for (int causal = 0; causal < 2; causal++) {
            head h;
            start(&h, causal);
            set_lags(&h, kind);
            const size_t apart = run(&h);
            cr_assert(apart == 0 || !(kind == 3 || kind == 4 || (kind == 9 && causal)), "kind %zu: %zu rows went the long way",
                      kind, apart);
            for (size_t i = 0; i < 2 * N - 1; i++) h.lags[i] = (double)(flt_real)h.lags[i];
            cr_assert(le(dbl, judge(&h), PASS), "causal=%d kind %zu", causal, kind);
            cr_assert(eq(sz, h.a->slots->flagged, 0));
            finish(&h);
        }
}

// Keys that leave the range do so for the rows that see them.
Test(attention_lagged, a_row_does_not_see_the_future) {
    enum { FROM = 150 };
    head h;
    flt_real before[N * DV];
    start(&h, true);
    run(&h);
    memcpy(before, h.out, sizeof before);
    for (size_t j = FROM; j < N; j++) shift_key(&h, j, j % 3 == 0 ? 100 * far : j % 3 == 1 ? (flt_real)NAN : -far);
    cr_assert(gt(sz, run(&h), 0));
    cr_assert(eq(int, memcmp(before, h.out, FROM * DV * sizeof *before), 0));
    finish(&h);
}
