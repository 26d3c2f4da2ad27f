// SPDX-License-Identifier: MIT
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flt/memory.h"
#include "flt/random.h"

enum { EXACT = 20 };

static int by_size(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

double flt_stat_mean(size_t n, const double *x) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return n == 0 ? NAN : sum / (double)n;
}

double flt_stat_median(size_t n, const double *x) {
    return n == 0 ? NAN : 0.5 * (x[(n - 1) / 2] + x[n / 2]);
}

double flt_stat_iqm(size_t n, const double *x) {
    return flt_stat_mean(n - 2 * (n / 4), x + n / 4);
}

// ---- bootstrap
typedef struct resampler {
    flt_rng rng;
    uint64_t next;
} resampler;

static void resample(resampler *r, size_t n, const double *x, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = x[flt_rng_below(r->rng, r->next++, n)];
    qsort(out, n, sizeof *out, by_size);
}

typedef enum pair { SINGLE, DIFFERENCE, RATIO } pair;
typedef double (*statistic_fn)(size_t, const double *);

static double combine(pair how, double a, double b) {
    return how == SINGLE ? a : how == DIFFERENCE ? b - a : b / a;
}

typedef struct samples {
    size_t na, nb;
    const double *a, *b; // sorted
    double *spare;       // [na + nb]
} samples;

static void cut_interval(double *values, double level, flt_interval *out) {
    qsort(values, FLTX_RESAMPLES, sizeof *values, by_size);
    const double cut = 0.5 * (1 - level) * (FLTX_RESAMPLES - 1);
    out->low = values[(int)floor(cut)];
    out->high = values[FLTX_RESAMPLES - 1 - (int)floor(cut)];
}

static void percentiles(pair how, statistic_fn statistic, const samples *s, double level, double *values, flt_interval *out) {
    resampler r = {.rng = flt_rng_make(s->na * 1000003u + s->nb, "bootstrap", (uint64_t)how)};
    for (int i = 0; i < FLTX_RESAMPLES; i++) {
        resample(&r, s->na, s->a, s->spare);
        if (how != SINGLE) resample(&r, s->nb, s->b, s->spare + s->na);
        values[i] = combine(how, statistic(s->na, s->spare), how == SINGLE ? 0 : statistic(s->nb, s->spare + s->na));
    }
    cut_interval(values, level, out);
}

static flt_err bootstrap(pair how, statistic_fn statistic, size_t na, const double *a, size_t nb, const double *b, double level,
                         flt_interval *out) {
    double *block = NULL;
    *out = (flt_interval){NAN, NAN, NAN};
    if (na == 0 || (how != SINGLE && nb == 0)) return FLTE_OK;
    FLTX_TRY(flt_alloc(2 * (na + nb) + FLTX_RESAMPLES, sizeof *block, &block));
    memcpy(block, a, na * sizeof *a);
    qsort(block, na, sizeof *a, by_size);
    if (nb > 0) memcpy(block + na, b, nb * sizeof *b);
    if (nb > 0) qsort(block + na, nb, sizeof *b, by_size);
    const samples s = {na, nb, block, block + na, block + na + nb};
    out->estimate = combine(how, statistic(na, s.a), how == SINGLE ? 0 : statistic(nb, s.b));
    if (na > 1 && (how == SINGLE || nb > 1)) percentiles(how, statistic, &s, level, block + 2 * (na + nb), out);
    flt_free(block);
    return FLTE_OK;
}

flt_err flt_stat_bootstrap(statistic_fn statistic, size_t n, const double *x, double level, flt_interval *out) {
    return bootstrap(SINGLE, statistic, n, x, 0, NULL, level, out);
}

static void resample_groups(resampler *r, size_t n, const double *x, const size_t *group, double *out) {
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && group[to] == group[from];) to++;
        for (size_t i = from; i < to; i++) out[i] = x[from + flt_rng_below(r->rng, r->next++, to - from)];
    }
    qsort(out, n, sizeof *out, by_size);
}

flt_err flt_stat_stratified(statistic_fn statistic, size_t n, const double *x, const size_t *group, double level,
                            flt_interval *out) {
    double *block = NULL;
    bool varies = false;
    *out = (flt_interval){NAN, NAN, NAN};
    if (n == 0) return FLTE_OK;
    FLTX_TRY(flt_alloc(n + FLTX_RESAMPLES, sizeof *block, &block));
    double *values = block + n;
    memcpy(block, x, n * sizeof *x);
    qsort(block, n, sizeof *block, by_size);
    out->estimate = statistic(n, block);
    for (size_t i = 1; i < n; i++) varies = varies || group[i] == group[i - 1];
    resampler r = {.rng = flt_rng_make(n, "bootstrap/strata", 0)};
    for (int i = 0; varies && i < FLTX_RESAMPLES; i++) {
        resample_groups(&r, n, x, group, block);
        values[i] = statistic(n, block);
    }
    if (varies) cut_interval(values, level, out);
    flt_free(block);
    return FLTE_OK;
}

flt_err flt_stat_difference(size_t na, const double *a, size_t nb, const double *b, double level, flt_interval *out) {
    return bootstrap(DIFFERENCE, flt_stat_mean, na, a, nb, b, level, out);
}

flt_err flt_stat_ratio(size_t na, const double *a, size_t nb, const double *b, double level, flt_interval *out) {
    return bootstrap(RATIO, flt_stat_median, na, a, nb, b, level, out);
}

// ---- Mann-Whitney
// The chance that U is at most u: subsets of na of the ranks 1 .. na + nb, counted by their sum.
static double exact_tail(size_t na, size_t nb, size_t u) {
    static _Thread_local double count[EXACT + 1][2 * EXACT * EXACT + 1];
    const size_t sums = na * (na + nb) + 1;
    double tail = 0, all = 0;
    memset(count, 0, sizeof count);
    count[0][0] = 1;
    for (size_t rank = 1; rank <= na + nb; rank++)
        for (size_t k = rank < na ? rank : na; k > 0; k--)
            for (size_t sum = sums - 1; sum >= rank; sum--) count[k][sum] += count[k - 1][sum - rank];
    for (size_t sum = 0; sum < sums; sum++) {
        all += count[na][sum];
        if (sum <= u + na * (na + 1) / 2) tail += count[na][sum];
    }
    return tail / all;
}

typedef struct ranked {
    double value;
    bool first; // of sample a
} ranked;

// Sum of the (mid)ranks of sample a, and the sum of t^3 - t over the groups of t equal values.
static void rank_sum(size_t n, const ranked *x, double *sum, double *ties) {
    *sum = *ties = 0;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && x[j].value == x[i].value;) j++;
        const double t = (double)(j - i), rank = 0.5 * (double)(i + j + 1);
        for (size_t k = i; k < j; k++) *sum += x[k].first ? rank : 0;
        *ties += t * t * t - t;
    }
}

flt_err flt_stat_mann_whitney(size_t na, const double *a, size_t nb, const double *b, double *p) {
    const double n = (double)(na + nb), product = (double)na * (double)nb;
    ranked *x = NULL;
    double sum = 0, ties = 0;
    *p = NAN;
    if (na == 0 || nb == 0) return FLTE_OK;
    FLTX_TRY(flt_alloc(na + nb, sizeof *x, &x));
    for (size_t i = 0; i < na + nb; i++) x[i] = (ranked){i < na ? a[i] : b[i - na], i < na};
    qsort(x, na + nb, sizeof *x, by_size); // the value is the first member
    rank_sum(na + nb, x, &sum, &ties);
    flt_free(x);
    const double u = sum - 0.5 * (double)na * (double)(na + 1), least = fmin(u, product - u);
    if (ties == 0 && na <= EXACT && nb <= EXACT) {
        *p = fmin(1.0, 2 * exact_tail(na, nb, (size_t)least));
        return FLTE_OK;
    }
    const double variance = product / 12 * (n + 1 - ties / (n * (n - 1)));
    const double z = fmax(0, fabs(u - 0.5 * product) - 0.5) / sqrt(variance);
    *p = variance > 0 ? erfc(z / sqrt(2)) : 1.0;
    return FLTE_OK;
}

const char *flt_stat_verdict(size_t na, size_t nb, const flt_interval *ratio, double p) {
    if (na < 7 || nb < 7) return "too few";
    if (!(p < 0.002)) return "same";
    if (ratio->low > 1 && ratio->estimate > 1.01) return "slower";
    return ratio->high < 1 && ratio->estimate < 0.99 ? "faster" : "same";
}
