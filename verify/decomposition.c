// SPDX-License-Identifier: MIT
// What mechanisms lose on their way, where the ladder of `performer` and `flt` does not fit. Relative Frobenius norms of one
// head, a record each, with the parts named in its detail:
//     spe_*    total   out against softmax of the logits that the template expects, (1/sqrt d) sum_c q k P(i - j)
//              mask    softmax of the drawn codes' own products against the same: what the R realisations lose
//              kernel  out against softmax of the drawn codes: what the m features lose
//     nprf     total = kernel: out against softmax of normalised q.k plus b, whose mask is exact; its transforms against loops
//              are the check `oracle`
//     fourier  total   out against exact attention at full length; the error splits into two orthogonal parts:
//              mask    what exact attention has above the frequency that is kept, and no output of this form can have
//              kernel  the rest: attention between short rows in place of long ones
//     fftnet   total   out against the circular convolution with its filter in O(N^2); all of it is the threshold's doing:
//              mask    0, kernel = total; with the threshold at 0 both vanish
// Claimed, as cases: SPE's and nprf's parts fall with R and m; fourier's parts add up by Pythagoras, K = N loses nothing, and S
// is the matrix product of cosine transforms; fftnet without threshold is the convolution and keeps energy by Parseval.
#include "engine/oracle.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TWO_PI_L 6.283185307179586476925286766559005768L
enum { N = 48, D = 8 };

typedef struct parts {
    double total, mask, kernel, seconds, seconds_exact;
    size_t bytes, bytes_exact;
} parts;

typedef struct arrays {
    long double *x, *want, *other, *got; // [N, N], [N, D] each
} arrays;

static flt_err allocate(arrays *a) {
    FLTX_TRY(flt_alloc(N * N + 3 * N * D, sizeof *a->x, &a->x));
    a->want = a->x + N * N, a->other = a->want + N * D, a->got = a->other + N * D;
    return FLTE_OK;
}

static double norm(const long double *x, const long double *y) {
    long double sum = 0.0L;
    for (size_t i = 0; i < N * D; i++) sum += (x[i] - (y == NULL ? 0.0L : y[i])) * (x[i] - (y == NULL ? 0.0L : y[i]));
    return (double)sqrtl(sum);
}

static void load(const flt_real *from, long double *to) {
    for (size_t i = 0; i < N * D; i++) to[i] = (long double)from[i];
}

static flt_err record(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, const char *detail,
                      const parts *e) {
    const flt_field fields[] = {flt_text_field("mechanism", kind->kind.name),
                                flt_text_field("encoding", detail),
                                flt_text_field("options", p->options == NULL ? "" : p->options),
                                flt_num_field("n", N),
                                flt_num_field("d", D),
                                flt_num_field("m", (double)p->m),
                                flt_num_field("r", (double)p->r),
                                flt_num_field("seed", (double)p->seed),
                                flt_num_field("causal", 0.0),
                                flt_num_field("error_total", e->total),
                                flt_num_field("error_mask", e->mask),
                                flt_num_field("error_kernel", e->kernel),
                                flt_num_field("seconds", e->seconds),
                                flt_num_field("seconds_exact", e->seconds_exact),
                                flt_num_field("bytes", (double)e->bytes),
                                flt_num_field("bytes_exact", (double)e->bytes_exact)};
    return flt_sink_record(c->sink, "ladder", sizeof fields / sizeof *fields, fields);
}

// ---- spe

// P_c(i - j) from the plan's own arrays.
static long double expected(const flt_attention *plan, size_t c, size_t i, size_t j) {
    size_t dim[2] = {0};
    long double sum = 0.0L;
    const double *freqs = flt_oracle_draw(plan, "freqs", 2, 0, dim), *phases = flt_oracle_draw(plan, "phases", 2, 0, dim),
                 *gains = flt_oracle_draw(plan, "gains", 2, 0, dim);
    if (freqs != NULL) {
        for (size_t k = c * dim[1]; k < (c + 1) * dim[1]; k++)
            sum += (long double)(gains[k] * gains[k]) / (2.0L * (long double)dim[1]) *
                   cosl(TWO_PI_L * (long double)freqs[k] * ((long double)i - (long double)j) + (long double)phases[k]);
        return sum;
    }
    const double *on_q = flt_oracle_draw(plan, "filter_q", 2, 0, dim), *on_k = flt_oracle_draw(plan, "filter_k", 2, 0, dim);
    for (size_t t = 0; t < dim[1]; t++)
        if (t + i >= j && t + i - j < dim[1])
            sum += (long double)on_q[c * dim[1] + t] * (long double)on_k[c * dim[1] + t + i - j];
    return sum;
}

static flt_err spe_parts(const flt_problem *p, const flt_attention *plan, arrays *a, parts *e) {
    size_t dim[3] = {0};
    const double *hat = flt_oracle_draw(plan, "qhat", 3, 0, dim), *khat = flt_oracle_draw(plan, "khat", 3, 0, dim);
    const size_t R = dim[2];
    for (size_t i = 0; i < N * N; i++) {
        a->x[i] = 0.0L;
        for (size_t c = 0; c < D; c++)
            a->x[i] +=
                (long double)p->q[i / N * D + c] * (long double)p->k[i % N * D + c] * expected(plan, c, i / N, i % N) / sqrtl(D);
    }
    flt_oracle_rows(p, a->x, p->v, a->want);
    for (size_t i = 0; i < N * N; i++) {
        a->x[i] = 0.0L;
        for (size_t r = 0; r < R; r++)
            a->x[i] += (long double)hat[i / N * R + r] * (long double)khat[i % N * R + r] / sqrtl((long double)R);
    }
    flt_oracle_rows(p, a->x, p->v, a->other);
    load(p->out, a->got);
    e->total = norm(a->got, a->want) / norm(a->want, NULL), e->mask = norm(a->other, a->want) / norm(a->want, NULL);
    e->kernel = norm(a->got, a->other) / norm(a->other, NULL);
    return FLTE_OK;
}

// ---- nprf

static flt_err nprf_parts(const flt_problem *p, const flt_attention *plan, arrays *a, parts *e) {
    size_t dim[1];
    const double *b = flt_oracle_draw(plan, "lag_bias", 1, 0, dim);
    for (size_t i = 0; i < N * N; i++) {
        long double dot = 0.0L, q2 = 0.0L, k2 = 0.0L;
        for (size_t c = 0; c < D; c++) {
            const long double q = (long double)p->q[i / N * D + c], k = (long double)p->k[i % N * D + c];
            dot += q * k, q2 += q * q, k2 += k * k;
        }
        a->x[i] = dot / sqrtl(q2 * k2) + (long double)b[i % N + N - 1 - i / N];
    }
    flt_oracle_rows(p, a->x, p->v, a->want);
    load(p->out, a->got);
    e->total = e->kernel = norm(a->got, a->want) / norm(a->want, NULL);
    e->mask = 0.0;
    return FLTE_OK;
}

// ---- fourier

// y = S^T S x with the matrix of the first K rows of the orthonormal DCT-II: keeps the K lowest frequencies.
static void low_pass(size_t K, const long double *x, long double *y) {
    for (size_t i = 0; i < N * D; i++) y[i] = 0.0L;
    for (size_t k = 0; k < K; k++) {
        const long double scale = sqrtl((k == 0 ? 1.0L : 2.0L) / N);
        for (size_t c = 0; c < D; c++) {
            long double sum = 0.0L;
            for (size_t n = 0; n < N; n++)
                sum += scale * cosl(TWO_PI_L * (long double)(k * (2 * n + 1)) / (4.0L * N)) * x[n * D + c];
            for (size_t n = 0; n < N; n++)
                y[n * D + c] += sum * scale * cosl(TWO_PI_L * (long double)(k * (2 * n + 1)) / (4.0L * N));
        }
    }
}

static flt_err fourier_parts(const flt_problem *p, const flt_attention *plan, arrays *a, parts *e) {
    (void)plan;
    size_t K = N;
    if (p->options != NULL) sscanf(p->options, "keep=%zu", &K);
    flt_oracle_logits(p, p->q, p->k, a->x);
    flt_oracle_rows(p, a->x, p->v, a->want);
    low_pass(K, a->want, a->other);
    load(p->out, a->got);
    const double size = norm(a->want, NULL);
    e->total = norm(a->got, a->want) / size, e->mask = norm(a->other, a->want) / size, e->kernel = norm(a->got, a->other) / size;
    return FLTE_OK;
}

// ---- fftnet

// y = c * x, the circular convolution whose transform is the plan's filter.
static void convolve(const flt_attention *plan, const flt_real *x, long double *kernel, long double *y) {
    size_t dim[1];
    const double *base = flt_oracle_draw(plan, "base_filter", 1, 0, dim),
                 *modulation = flt_oracle_draw(plan, "modulation", 1, 0, dim);
    for (size_t n = 0; n < N; n++) {
        kernel[n] = 0.0L;
        for (size_t k = 0; k <= N / 2; k++)
            kernel[n] += (k == 0 || 2 * k == N ? 1.0L : 2.0L) / N * ((long double)base[k] + (long double)modulation[k]) *
                         cosl(TWO_PI_L * (long double)(k * n % N) / N);
    }
    for (size_t i = 0; i < N * D; i++) {
        y[i] = 0.0L;
        for (size_t j = 0; j < N; j++) y[i] += kernel[(i / D + N - j) % N] * (long double)x[j * D + i % D];
    }
}

static flt_err fftnet_parts(const flt_problem *p, const flt_attention *plan, arrays *a, parts *e) {
    convolve(plan, p->q, a->x, a->want);
    load(p->out, a->got);
    e->total = e->kernel = norm(a->got, a->want) / norm(a->want, NULL);
    e->mask = 0.0;
    return FLTE_OK;
}

// ---- one measurement

typedef flt_err (*split)(const flt_problem *p, const flt_attention *plan, arrays *a, parts *e);
typedef struct subject {
    const flt_attention_kind *kind;
    const char *options, *detail;
    size_t m, r; // r: realisations
    const flt_attention_arg *args;
    size_t n_args;
    split split;
} subject;

static flt_err time_both(const flt_problem *p, flt_attention *plan, parts *e) {
    const flt_attention_kind *exact = NULL;
    flt_attention *other = NULL;
    flt_problem plain = *p;
    plain.options = NULL;
    FLTX_TRY(flt_attention_find("exact", &exact));
    FLTX_TRY(flt_problem_plan(&plain, exact, 1, 0, NULL, &other));
    e->seconds = flt_problem_seconds(p, plan);
    e->bytes = flt_attention_workspace(plan);
    e->seconds_exact = flt_problem_seconds(p, other);
    e->bytes_exact = flt_attention_workspace(other);
    flt_attention_destroy(other);
    return FLTE_OK;
}

static flt_err measure(flt_check_context *c, const subject *s, uint64_t seed, parts *e) {
    const flt_problem shape = {.B = 1,
                               .H = 1,
                               .N = N,
                               .d = D,
                               .dv = D,
                               .l = 1,
                               .m = s->m,
                               .r = s->r,
                               .scale = 0.7,
                               .seed = c->config->seed + seed,
                               .options = s->options};
    flt_problem *p = NULL;
    flt_attention *plan = NULL;
    arrays a = {0};
    FLTX_TRY(flt_problem_create(&shape, &p));
    flt_err err = flt_problem_plan(p, s->kind, 1, s->n_args, s->args, &plan);
    if (err == FLTE_OK) err = allocate(&a);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        err = s->split(p, plan, &a, e);
    }
    if (err == FLTE_OK) err = time_both(p, plan, e);
    if (err == FLTE_OK) err = record(c, s->kind, p, s->detail, e);
    flt_free(a.x);
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    return err;
}

// Root mean squares over seeds.
static flt_err mean_parts(flt_check_context *c, const subject *s, parts *out) {
    const size_t seeds = c->config->full ? 16 : 4;
    parts e, sum = {0};
    for (size_t seed = 0; seed < seeds; seed++) {
        FLTX_TRY(measure(c, s, seed, &e));
        sum.total += e.total * e.total, sum.mask += e.mask * e.mask, sum.kernel += e.kernel * e.kernel;
    }
    const double n = (double)seeds;
    *out = (parts){.total = sqrt(sum.total / n), .mask = sqrt(sum.mask / n), .kernel = sqrt(sum.kernel / n)};
    return FLTE_OK;
}

// ---- claims

static flt_err falls(flt_check_context *c, const flt_attention_kind *kind, const char *label, double from, double to) {
    return flt_check_claim(c, kind->kind.name, label, to < 0.7 * from && from > 0.0, to / from);
}

// 16 times the realisations, then 16 times the features: each part would fall to a quarter.
static flt_err spe(flt_check_context *c, const flt_attention_kind *kind) {
    subject s = {.kind = kind, .options = "R=16,keep_codes=true", .detail = "template", .m = 32, .r = 16, .split = spe_parts};
    parts few, many, wide;
    FLTX_TRY(mean_parts(c, &s, &few));
    s.m = 512;
    FLTX_TRY(mean_parts(c, &s, &many));
    s.options = "R=256,keep_codes=true", s.r = 256;
    FLTX_TRY(mean_parts(c, &s, &wide));
    FLTX_TRY(falls(c, kind, "kernel's part falls with 16 times the features", few.kernel, many.kernel));
    return falls(c, kind, "distance from the template falls with 16 times the realisations", many.mask, wide.mask);
}

static flt_err nprf(flt_check_context *c, const flt_attention_kind *kind) {
    double lags[2 * N - 1];
    for (size_t i = 0; i < 2 * N - 1; i++) lags[i] = -0.05 * fabs((double)i - (N - 1));
    const flt_attention_arg lag_bias = {"lag_bias", 1, {2 * N - 1}, lags};
    subject s = {.kind = kind, .detail = "lag_table", .m = 32, .args = &lag_bias, .n_args = 1, .split = nprf_parts};
    parts few, many;
    FLTX_TRY(mean_parts(c, &s, &few));
    s.m = 512;
    FLTX_TRY(mean_parts(c, &s, &many));
    return falls(c, kind, "kernel's part falls with 16 times the features", few.kernel, many.kernel);
}

static flt_err fourier(flt_check_context *c, const flt_attention_kind *kind) {
    static const char *const options[] = {"keep=6", "keep=17", "keep=48"};
    parts e;
    char label[96];
    for (size_t i = 0; i < 3; i++) {
        const subject s = {.kind = kind, .options = options[i], .detail = "none", .split = fourier_parts};
        FLTX_TRY(measure(c, &s, 0, &e));
        const double gap = fabs(e.total - hypot(e.mask, e.kernel));
        snprintf(label, sizeof label, "%s: parts add up by Pythagoras", options[i]);
        FLTX_TRY(flt_check_case(c, kind->kind.name, label, gap / (FLTX_EPS * 8.0)));
    }
    return flt_check_case(c, kind->kind.name, "keep=48 of 48: exact attention", e.total / (FLTX_EPS * 8.0));
}

static flt_err energy(flt_check_context *c, const flt_attention_kind *kind, const subject *s) {
    const flt_problem shape = {.B = 1, .H = 1, .N = N, .d = D, .dv = D, .l = 1, .seed = c->config->seed};
    flt_problem *p = NULL;
    flt_attention *plan = NULL;
    double in = 0.0, out = 0.0;
    FLTX_TRY(flt_problem_create(&shape, &p));
    flt_err err = flt_problem_plan(p, kind, 1, s->n_args, s->args, &plan);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, NULL, NULL, p->out);
        for (size_t i = 0; i < N * D; i++) in += (double)p->q[i] * (double)p->q[i], out += (double)p->out[i] * (double)p->out[i];
        err = flt_check_case(c, kind->kind.name, "filter of size 1, no threshold: energy kept (Parseval)",
                             fabs(out - in) / (FLTX_EPS * (1.0 + log2(N)) * in));
    }
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    return err;
}

static flt_err fftnet(flt_check_context *c, const flt_attention_kind *kind) {
    double filter[N / 2 + 1], sign[N / 2 + 1], none[N / 2 + 1] = {0};
    for (size_t k = 0; k <= N / 2; k++) filter[k] = cos(0.4 * (double)k) + 0.3, sign[k] = k % 3 == 0 ? -1.0 : 1.0;
    const flt_attention_arg args[] = {{"base_filter", 1, {N / 2 + 1}, filter}, {"bias", 1, {N / 2 + 1}, none}},
                            signs[] = {{"base_filter", 1, {N / 2 + 1}, sign}, {"bias", 1, {N / 2 + 1}, none}};
    subject s = {.kind = kind, .detail = "filter", .args = args, .n_args = 1, .options = "eps=1e-6", .split = fftnet_parts};
    parts e;
    FLTX_TRY(measure(c, &s, 0, &e)); // with the threshold: recorded
    s.n_args = 2;
    FLTX_TRY(measure(c, &s, 0, &e));
    FLTX_TRY(flt_check_case(c, kind->kind.name, "no threshold: circular convolution", e.total / (FLTX_EPS * (1.0 + log2(N)))));
    s.args = signs;
    return energy(c, kind, &s);
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    static const struct {
        const char *name;
        flt_mechanism_body body;
    } all[] = {{"spe_sine", spe}, {"spe_conv", spe}, {"nprf", nprf}, {"fourier", fourier}, {"fftnet", fftnet}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, kind->kind.name) == 0) return all[i].body(c, kind);
    return FLTE_OK;
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_decomposition = {
    .kind = {.name = "decomposition",
             .summary = "what spe, nprf, fourier and fftnet lose, in parts, each against its own reference in O(N^2)",
             .formula = "|out - reference|_F / |reference|_F",
             .citation = "arXiv 2105.08399; arXiv 2106.12566; arXiv 2305.15099; arXiv 2502.18394",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
