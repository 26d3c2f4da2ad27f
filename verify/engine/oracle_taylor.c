// SPDX-License-Identifier: MIT
// Taylor attention by its definition: all N^2 weights, the interpolated mask formed pair by pair, and exact rows where the sum of
// the weights is little beside what it would be without q.
#include "engine/oracle_heads.h"

#include "flt/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct mask {
    const flt_problem *p;
    size_t nodes;
    double low, step, top; // top: largest f between nodes
} mask;

static size_t number(const flt_problem *p, const char *name, size_t initial) {
    const char *at = p->options == NULL ? NULL : strstr(p->options, name);
    return at == NULL ? initial : (size_t)strtoul(at + strlen(name) + 1, NULL, 10);
}

static double position(const flt_problem *p, size_t i) {
    return p->encoding != NULL ? p->pos[i] : (double)i; // without an encoding the plan is given no positions
}

static double f_at(const flt_problem *p, double z) {
    double f = 0.0;
    if (p->encoding != NULL) p->encoding->kind->closed_form(&p->encoding->closed, 1, &z, &f);
    return f;
}

static mask make_mask(const flt_problem *p) {
    mask m = {.p = p, .nodes = number(p, "nodes", 64), .low = INFINITY, .top = -INFINITY};
    double high = -INFINITY;
    for (size_t i = 0; i < p->N; i++) m.low = fmin(m.low, position(p, i)), high = fmax(high, position(p, i));
    m.step = high > m.low ? (high - m.low) / (double)m.nodes : 1.0;
    for (size_t a = 0; a <= 2 * m.nodes; a++) m.top = fmax(m.top, f_at(p, ((double)a - (double)m.nodes) * m.step));
    return m;
}

// That(r_i - r_j) over the largest T.
static long double interpolated(const mask *m, size_t i, size_t j) {
    const double at[2] = {(position(m->p, i) - m->low) / m->step, (position(m->p, j) - m->low) / m->step};
    double cell[2];
    long double right[2], sum = 0.0L;
    for (int s = 0; s < 2; s++) {
        cell[s] = fmin(floor(at[s]), (double)m->nodes - 1.0);
        right[s] = (long double)at[s] - (long double)cell[s];
    }
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++)
            sum += (a == 1 ? right[0] : 1.0L - right[0]) * (b == 1 ? right[1] : 1.0L - right[1]) *
                   expl((long double)f_at(m->p, (cell[0] + a - cell[1] - b) * m->step) - (long double)m->top);
    return sum;
}

// mean [2, d] of q and k; zeros when not centred.
static void means(const flt_oracle_job *job, long double *mean) {
    const flt_problem *p = job->p;
    memset(mean, 0, 2 * p->d * sizeof *mean);
    if (flt_oracle_option(p, "centre", "none")) return;
    for (size_t i = 0; i < p->N * p->d; i++) {
        mean[i % p->d] += (long double)job->q[i] / (long double)p->N;
        mean[p->d + i % p->d] += (long double)job->k[i] / (long double)p->N;
    }
}

// Weights of row i, and in logits what exact attention has there; returns the sum without q.
static long double weigh_row(const flt_oracle_job *job, const mask *m, const long double *mean, size_t i, long double *weight,
                             long double *logits) {
    const flt_problem *p = job->p;
    const size_t d = p->d, order = number(p, "order", 1);
    const long double shrink = 1.0L / sqrtl((long double)d);
    long double base = 0.0L;
    for (size_t j = 0; j < p->N; j++) {
        long double s = 0.0L, along = 0.0L, dot = 0.0L;
        for (size_t c = 0; c < d; c++) {
            const long double q = (long double)job->q[i * d + c], k = (long double)job->k[j * d + c];
            s += (q - mean[c]) * (k - mean[d + c]) * shrink;
            along += mean[c] * k * shrink;
            dot += q * k * shrink;
        }
        const long double plain = interpolated(m, i, j) * expl(along);
        weight[j] = plain * (order == 0 ? 1.0L : order == 1 ? 1.0L + s : 1.0L + s + s * s / 2.0L);
        logits[j] = dot + (long double)f_at(p, position(p, i) - position(p, j));
        base += plain;
    }
    return base;
}

static void average(const flt_problem *p, const long double *weight, long double sum, const flt_real *v, long double *out) {
    for (size_t c = 0; c < p->dv; c++) {
        out[c] = 0.0L;
        for (size_t j = 0; j < p->N; j++) out[c] += weight[j] * (long double)v[j * p->dv + c];
        out[c] /= sum;
    }
}

static void one_row(const flt_oracle_job *job, const mask *m, const long double *mean, size_t i, long double *room) {
    const flt_problem *p = job->p;
    long double *weight = room, *logits = room + p->N, sum = 0.0L, size = 0.0L, top = -INFINITY;
    const long double base = weigh_row(job, m, mean, i, weight, logits);
    for (size_t j = 0; j < p->N; j++) sum += weight[j], size += fabsl(weight[j]), top = fmaxl(top, logits[j]);
    if (!(sum > 0.1L * base)) { // a row that the mechanism leaves to exact attention
        sum = size = 0.0L;
        for (size_t j = 0; j < p->N; j++) sum += weight[j] = expl(logits[j] - top);
        size = sum;
    }
    *job->exponent = fmax(*job->exponent, fmax((double)(size / sum), (double)fabsl(top))); // cancellation magnifies rounding
    average(p, weight, sum, job->v, job->out + i * p->dv);
}

flt_err flt_oracle_taylor(const flt_oracle_job *job) {
    const mask m = make_mask(job->p);
    long double *room = NULL;
    FLTX_TRY(flt_alloc(2 * (job->p->N + job->p->d), sizeof *room, &room));
    means(job, room);
    for (size_t i = 0; i < job->p->N; i++) one_row(job, &m, room, i, room + 2 * job->p->d);
    flt_free(room);
    return FLTE_OK;
}
