// SPDX-License-Identifier: MIT
// What holds for every mechanism of the registry: rows of weights sum to one, linear in v, causality bit for bit, batch equals
// singles, threads, no allocation in forward, and numbers that stay finite.
#include "attention_support.h"

static const size_t sizes[] = {1, 2, 33, 70, 129};
enum { SIZES = sizeof sizes / sizeof *sizes };

typedef void (*checker)(problem *p, const flt_attention_kind *kind);

// Few features where the kind has them: these tests are about form.
static const char *small_params(const flt_kind *kind) {
    for (const flt_param_spec *s = kind->params; s != NULL && s->name != NULL; s++) {
        if (strcmp(s->name, "m") == 0) return "m=24";
    }
    return "";
}

static void over_registry(checker check, double scale) {
    const flt_registry *r = flt_attention_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        for (size_t n = 0; n < SIZES; n++)
            for (int causal = 0; causal <= ((r->kinds[i]->caps & FLTX_ATT_CAUSAL) != 0); causal++) {
                const flt_attention_kind *kind = NULL;
                cr_assert(eq(int, flt_attention_find(r->kinds[i]->name, &kind), FLTE_OK));
                problem p = {
                    .mechanism = kind->kind.name, .B = 2, .H = 3, .N = sizes[n], .d = 6, .dv = 5, .causal = causal, .seed = n};
                if (kind->kind.caps & FLTX_ATT_MIXING) p.dv = p.d;
                p.params = small_params(&kind->kind);
                p.threads = 2;
                inputs(&p, scale);
                check(&p, kind);
                drop_problem(&p);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

static size_t out_count(const problem *p) {
    return p->B * p->H * p->N * p->dv;
}

static void check_ones(problem *p, const flt_attention_kind *kind) {
    if (!(kind->kind.caps & FLTX_ATT_NORMALISED)) return;
    for (size_t i = 0; i < out_count(p); i++) p->v[i] = 1;
    run_problem(p);
    for (size_t i = 0; i < out_count(p); i++) {
        const double ratio = ratio_of((double)p->out[i], 1, GROWTH, 1);
        cr_assert(le(dbl, ratio, PASS), "%s: element %zu", label(p), i);
    }
}

Test(attention_forms, ones_give_ones) {
    over_registry(check_ones, 2);
}

static void check_linear(problem *p, const flt_attention_kind *kind) {
    const size_t n = out_count(p);
    flt_real *one = reals(n), *two = reals(n), *sum = reals(n);
    long double *want = take(n, sizeof *want);
    if (kind->kind.caps & FLTX_ATT_MIXING) {
        flt_free(one), flt_free(two), flt_free(sum), flt_free(want);
        return;
    }
    fill(77, n, two);
    flt_attention *a = plan_of(p);
    for (size_t i = 0; i < n; i++) sum[i] = 2 * p->v[i] - 3 * two[i];
    flt_attention_forward(a, p->q, p->k, p->v, one);
    flt_attention_forward(a, p->q, p->k, two, p->out);
    for (size_t i = 0; i < n; i++) want[i] = 2 * (long double)one[i] - 3 * (long double)p->out[i];
    flt_attention_forward(a, p->q, p->k, sum, p->out);
    cr_assert(le(dbl, judge_rows(n, p->out, want), PASS), "%s", label(p));
    flt_attention_destroy(a);
    flt_free(one);
    flt_free(two);
    flt_free(sum);
    flt_free(want);
}

Test(attention_forms, linear_in_v) {
    over_registry(check_linear, 1);
}

// Everything from a token on is replaced by something wild: what came before keeps its bits.
static void check_causality(problem *p, const flt_attention_kind *kind) {
    const size_t n = out_count(p);
    (void)kind;
    if (!p->causal) return;
    flt_attention *a = plan_of(p);
    flt_real *before = reals(n);
    flt_attention_forward(a, p->q, p->k, p->v, before);
    for (size_t from = p->N - 1; from > 0; from = from * 2 / 3) {
        for (size_t h = 0; h < p->B * p->H; h++)
            for (size_t t = from; t < p->N; t++) {
                for (size_t c = 0; c < p->d; c++) p->k[(h * p->N + t) * p->d + c] *= 9, p->q[(h * p->N + t) * p->d + c] += 2;
                for (size_t c = 0; c < p->dv; c++) p->v[(h * p->N + t) * p->dv + c] *= -1000;
            }
        flt_attention_forward(a, p->q, p->k, p->v, p->out);
        for (size_t h = 0; h < p->B * p->H; h++) {
            const size_t at = h * p->N * p->dv;
            const int differ = memcmp(p->out + at, before + at, from * p->dv * sizeof *before);
            cr_assert(eq(int, differ, 0), "%s: the future from %zu on leaks", label(p), from);
        }
    }
    flt_attention_destroy(a);
    flt_free(before);
}

Test(attention_forms, the_future_does_not_move_the_past) {
    over_registry(check_causality, 2);
}

static void check_singles(problem *p, const flt_attention_kind *kind) {
    const size_t n = out_count(p), x = p->H * p->N * p->d, y = p->H * p->N * p->dv;
    flt_real *all = reals(n);
    (void)kind;
    run_problem(p);
    memcpy(all, p->out, n * sizeof *all);
    problem one = *p;
    one.B = 1;
    one.threads = 1;
    flt_attention *a = plan_of(&one);
    for (size_t b = 0; b < p->B; b++) flt_attention_forward(a, p->q + b * x, p->k + b * x, p->v + b * y, p->out + b * y);
    cr_assert(eq(int, memcmp(all, p->out, n * sizeof *all), 0), "%s: a batch differs from its members", label(p));
    flt_attention_destroy(a);
    flt_free(all);
}

Test(attention_forms, batch_equals_singles_bit_for_bit) {
    over_registry(check_singles, 1);
}

static void check_threads(problem *p, const flt_attention_kind *kind) {
    const size_t n = out_count(p);
    flt_real *first = reals(n);
    (void)kind;
    for (p->threads = 0; p->threads < 5; p->threads++) {
        run_problem(p);
        if (p->threads == 0) memcpy(first, p->out, n * sizeof *first);
        cr_assert(eq(int, memcmp(first, p->out, n * sizeof *first), 0), "%s: %d threads", label(p), p->threads);
    }
    flt_free(first);
}

Test(attention_forms, any_number_of_threads_gives_the_same_bits) {
    over_registry(check_threads, 1);
}

static void check_repeat(problem *p, const flt_attention_kind *kind) {
    const size_t n = out_count(p);
    flt_attention *a = plan_of(p);
    flt_real *first = reals(n);
    (void)kind;
    flt_attention_forward(a, p->q, p->k, p->v, first);
    const size_t calls = flt_alloc_count();
    flt_attention_forward(a, p->q, p->k, p->v, p->out);
    cr_assert(eq(sz, flt_alloc_count(), calls), "%s: forward allocates", label(p));
    cr_assert(eq(int, memcmp(first, p->out, n * sizeof *first), 0), "%s: the second call differs", label(p));
    cr_assert(gt(sz, flt_attention_workspace(a), 0), "%s", label(p));
    cr_assert(eq(ptr, (void *)(uintptr_t)flt_attention_kind_of(a), (void *)(uintptr_t)kind));
    flt_attention_destroy(a);
    flt_free(first);
}

Test(attention_forms, forward_repeats_itself_and_allocates_nothing) {
    over_registry(check_repeat, 1);
}

static void check_finite(problem *p, const flt_attention_kind *kind) {
    size_t first = 0;
    for (size_t c = 0; c < p->d; c++) p->k[(p->N / 2) * p->d + c] *= 1e4; // one huge key
    if (p->N > 2)
        for (size_t c = 0; c < p->d; c++) p->k[c] = p->k[p->d + c]; // two equal ones
    run_problem(p);
    cr_assert(flt_all_finite(out_count(p), p->out, &first), "%s: element %zu", label(p), first);
    for (size_t i = 0; i < out_count(p) && !(kind->kind.caps & (FLTX_ATT_X | FLTX_ATT_SIGNED)); i++)
        cr_assert(le(dbl, fabs((double)p->out[i]), 1.001), "%s: out of the hull of v at %zu", label(p), i);
}

Test(attention_forms, extreme_inputs_stay_finite) {
    static const double scales[] = {3, 30, 1e3, 1e9};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) over_registry(check_finite, scales[s]);
}

static void check_alloc_failures(problem *p, const flt_attention_kind *kind) {
    (void)kind;
    if (p->N != 33) return;
    flt_attention *a = NULL;
    const size_t live = flt_live_blocks();
    flt_err err = FLTE_NOMEM;
    long n = 0;
    for (; err == FLTE_NOMEM && n < 1000; n++) {
        flt_fail_alloc_after(n);
        err = try_plan(p, &a);
        flt_fail_alloc_after(-1);
        if (err == FLTE_OK) flt_attention_destroy(a);
        cr_assert(err == FLTE_OK || a == NULL, "%s: request %ld", label(p), n);
        cr_assert(eq(sz, flt_live_blocks(), live), "%s: request %ld leaks", label(p), n);
    }
    cr_assert(eq(int, err, FLTE_OK), "%s: request %ld: %s", label(p), n, flt_error());
    cr_assert(gt(long, n, 5), "%s", label(p));
}

Test(attention_forms, every_allocation_may_fail) {
    over_registry(check_alloc_failures, 1);
}
