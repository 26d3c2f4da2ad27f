// SPDX-License-Identifier: MIT
// Sampling: probe, probe, subject, again and again. A sample lasts at least MIN_SAMPLE seconds, by calling as often as that
// takes.
#include "engine/bench.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    EDGE = 512,       // of the probe's matrices: 0.27 Gflop a product
    LENGTH = 1 << 23, // of the probe's vectors: beyond the caches
    MAX_CALLS = 1 << 20
};
enum { SUBJECT, GEMM, MEMORY, GEMM_SHARE, MEMORY_SHARE, VERSUS, SERIES };
#define MIN_SAMPLE 3e-3

static double clock_seconds(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- what the machine can do

static void fill(size_t n, flt_real *x, flt_real value) {
    for (size_t i = 0; i < n; i++) x[i] = value;
}

flt_err flt_bench_begin(const flt_bench_config *c, const flt_sink *sink, flt_bench *out) {
    const size_t square = (size_t)EDGE * EDGE, threads = (size_t)(c->threads < 1 ? 1 : c->threads);
    flt_num_init();
    *out = (flt_bench){.config = c, .sink = sink};
    for (size_t i = 0, n = 0; i < c->n_settings && n < sizeof out->options; i++)
        n += (size_t)snprintf(out->options + n, sizeof out->options - n, "%s%s", i == 0 ? "" : ",", c->settings[i]);
    FLTX_TRY(flt_alloc(threads * square, sizeof *out->a, &out->a));
    FLTX_TRY(flt_alloc(threads * square, sizeof *out->b, &out->b));
    FLTX_TRY(flt_alloc(threads * square, sizeof *out->c, &out->c));
    FLTX_TRY(flt_alloc(LENGTH, sizeof *out->x, &out->x));
    FLTX_TRY(flt_alloc(LENGTH, sizeof *out->y, &out->y));
    FLTX_TRY(flt_alloc(SERIES * c->reps, sizeof *out->samples, &out->samples));
    fill(threads * square, out->a, (flt_real)0.5);
    fill(threads * square, out->b, (flt_real)0.25);
    fill(threads * square, out->c, 0); // touched here, not while timing
    fill(LENGTH, out->x, (flt_real)1e-3);
    fill(LENGTH, out->y, 1);
    return FLTE_OK;
}

void flt_bench_end(flt_bench *b) {
    flt_free(b->a);
    flt_free(b->b);
    flt_free(b->c);
    flt_free(b->x);
    flt_free(b->y);
    flt_free(b->samples);
    *b = (flt_bench){0};
}

// flop/s of one product a thread.
static double probe_gemm(const flt_bench *b, int threads) {
    const size_t square = (size_t)EDGE * EDGE;
    const double start = clock_seconds(CLOCK_MONOTONIC);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        const size_t at = (size_t)t * square;
        flt_gemm(false, false, EDGE, EDGE, EDGE, 1, b->a + at, EDGE, b->b + at, EDGE, 0, b->c + at, EDGE);
    }
    return 2.0 * EDGE * EDGE * EDGE * threads / (clock_seconds(CLOCK_MONOTONIC) - start);
}

// bytes/s of y += a x in place: two reads and a write a number, none of them for nothing.
static double probe_memory(const flt_bench *b, int threads) {
    const size_t part = LENGTH / (size_t)threads / FLTX_ALIGN * FLTX_ALIGN;
    const double start = clock_seconds(CLOCK_MONOTONIC);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) flt_axpy(part, (flt_real)1e-3, b->x + (size_t)t * part, b->y + (size_t)t * part);
    return 3.0 * sizeof(flt_real) * (double)part * threads / (clock_seconds(CLOCK_MONOTONIC) - start);
}

// ---- records

static flt_err record_probe(const flt_bench *b, const char *name, int threads, size_t rep, double work, double rate) {
    const flt_field fields[] = {flt_text_field("subject", name),       flt_text_field("phase", "probe"),
                                flt_num_field("threads", threads),     flt_num_field("rep", (double)rep),
                                flt_num_field("seconds", work / rate), flt_num_field(name[0] == 'g' ? "flops" : "bytes", work)};
    return flt_sink_record(b->sink, "timing", sizeof fields / sizeof *fields, fields);
}

static flt_err record(const flt_bench *b, const flt_bench_row *r, size_t rep, bool warm, double seconds, double cpu) {
    flt_field f[18];
    size_t n = 0;
    f[n++] = flt_text_field("subject", r->subject);
    f[n++] = flt_text_field("phase", r->phase);
    f[n++] = flt_text_field("label", r->label);
    if (r->options[0] != '\0') f[n++] = flt_text_field("options", r->options);
    f[n++] = flt_num_field("n", (double)r->n);
    if (r->d > 0) f[n++] = flt_num_field("d", (double)r->d);
    if (r->m > 0) f[n++] = flt_num_field("m", (double)r->m);
    if (r->r > 0) f[n++] = flt_num_field("r", (double)r->r);
    f[n++] = flt_num_field("threads", r->threads);
    f[n++] = flt_num_field("rep", (double)rep);
    f[n++] = flt_num_field("warm", warm);
    f[n++] = flt_num_field("seconds", seconds);
    f[n++] = flt_num_field("cpu_seconds", cpu);
    if (!isnan(r->flops)) f[n++] = flt_num_field("flops", r->flops);
    if (!isnan(r->bytes)) f[n++] = flt_num_field("bytes", r->bytes);
    f[n++] = flt_num_field("peak_rss", flt_peak_bytes());
    return flt_sink_record(b->sink, "timing", n, f);
}

// ---- samples

static flt_err sample(const flt_bench_case *c, size_t calls, double *seconds, double *cpu) {
    if (c->reset != NULL) c->reset(c->self);
    const double cpu_start = clock_seconds(CLOCK_PROCESS_CPUTIME_ID), start = clock_seconds(CLOCK_MONOTONIC);
    FLTX_TRY(c->run(c->self, calls));
    *seconds = (clock_seconds(CLOCK_MONOTONIC) - start) / ((double)calls * c->parts);
    *cpu = (clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start) / ((double)calls * c->parts);
    return FLTE_OK;
}

// Two warm samples: after the first, caches and pages are as they will be, and its length says how often to call.
static flt_err warm_up(const flt_bench *b, const flt_bench_case *c, size_t *calls) {
    *calls = 1;
    for (size_t i = 0; i < 2; i++) {
        double seconds = 0.0, cpu = 0.0;
        FLTX_TRY(sample(c, *calls, &seconds, &cpu));
        FLTX_TRY(record(b, &c->row, i, true, seconds, cpu));
        const double wanted = ceil(MIN_SAMPLE / fmax(seconds * c->parts, 1e-9));
        *calls = wanted >= MAX_CALLS ? MAX_CALLS : wanted < 1.0 ? 1 : (size_t)wanted;
    }
    return FLTE_OK;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Quantile q of sorted x, linear between neighbours.
static double quantile(size_t n, const double *x, double q) {
    const double at = q * (double)(n - 1);
    const size_t i = (size_t)at;
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

static void summarise(flt_bench *b, const flt_bench_case *c, flt_bench_row *r) {
    const size_t n = b->config->reps;
    for (int s = 0; s < SERIES; s++) qsort(b->samples + (size_t)s * n, n, sizeof(double), by_value);
    r->median = quantile(n, b->samples + SUBJECT * n, 0.5);
    r->low = quantile(n, b->samples + SUBJECT * n, 0.25);
    r->high = quantile(n, b->samples + SUBJECT * n, 0.75);
    r->gemm_rate = quantile(n, b->samples + GEMM * n, 0.5);
    r->memory_rate = quantile(n, b->samples + MEMORY * n, 0.5);
    r->gemm_share = isnan(r->flops) ? NAN : quantile(n, b->samples + GEMM_SHARE * n, 0.5);
    r->memory_share = isnan(r->moved) ? NAN : quantile(n, b->samples + MEMORY_SHARE * n, 0.5);
    r->versus_forward = c->beside == NULL ? NAN : quantile(n, b->samples + VERSUS * n, 0.5);
    r->peak_rss = flt_peak_bytes();
}

// Seconds of a call of what the subject is compared with.
static flt_err sample_beside(const flt_bench_case *c, size_t calls, double *seconds) {
    const double start = clock_seconds(CLOCK_MONOTONIC);
    if (c->beside != NULL) FLTX_TRY(c->beside(c->self, calls));
    *seconds = (clock_seconds(CLOCK_MONOTONIC) - start) / ((double)calls * c->parts);
    return FLTE_OK;
}

static flt_err repeat(flt_bench *b, const flt_bench_case *c, size_t calls, size_t rep) {
    const size_t n = b->config->reps;
    const flt_bench_row *r = &c->row;
    double *s = b->samples + rep, cpu = 0.0, beside = 0.0;
    s[GEMM * n] = probe_gemm(b, r->threads);
    s[MEMORY * n] = probe_memory(b, r->threads);
    FLTX_TRY(sample_beside(c, calls, &beside));
    FLTX_TRY(sample(c, calls, &s[SUBJECT * n], &cpu));
    s[VERSUS * n] = s[SUBJECT * n] / beside;
    s[GEMM_SHARE * n] = isnan(r->flops) ? 0.0 : r->flops / s[SUBJECT * n] / s[GEMM * n];
    s[MEMORY_SHARE * n] = isnan(r->moved) ? 0.0 : r->moved / s[SUBJECT * n] / s[MEMORY * n];
    FLTX_TRY(record_probe(b, "gemm", r->threads, rep, 2.0 * EDGE * EDGE * EDGE * r->threads, s[GEMM * n]));
    FLTX_TRY(record_probe(b, "memory", r->threads, rep, 3.0 * sizeof(flt_real) * LENGTH, s[MEMORY * n]));
    return record(b, r, rep, false, s[SUBJECT * n], cpu);
}

flt_err flt_bench_measure(flt_bench *b, flt_bench_case *c) {
    size_t calls = 1;
    char status[128];
    if (c->parts == 0.0) c->parts = 1.0;
    if (c->row.options == NULL) c->row.options = b->options;
    snprintf(status, sizeof status, "%s %s n=%zu", c->row.subject, c->row.phase, c->row.n);
    flt_peak_forget();
    FLTX_TRY(warm_up(b, c, &calls));
    for (size_t rep = 0; rep < b->config->reps; rep++) {
        if (flt_sink_stopped(b->sink)) return flt_fail(FLTE_INTERRUPTED, "bench", "stopped on request");
        flt_sink_progress(b->sink, (double)rep / (double)b->config->reps, status);
        FLTX_TRY(repeat(b, c, calls, rep));
    }
    summarise(b, c, &c->row);
    return b->on_row == NULL ? FLTE_OK : b->on_row(b->user, &c->row);
}
