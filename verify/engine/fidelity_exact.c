// SPDX-License-Identifier: MIT
// Exact masked attention in double, and what is measured against it.
#include "engine/fidelity.h"

#include "flt/memory.h"

#include <malloc.h>
#include <math.h>

// s [N] = q_i.k_j / sqrt d + f, from k^T [d, N]: loops over j run over neighbours in memory.
static void logits(const flt_problem *p, size_t i, const double *kt, const double *lags, double *s) {
    const double scale = 1.0 / sqrt((double)p->d);
    for (size_t j = 0; j < p->N; j++) s[j] = lags == NULL ? 0.0 : lags[i + p->N - 1 - j];
    for (size_t c = 0; c < p->d; c++) {
        const double q = scale * (double)p->q[i * p->d + c], *row = kt + c * p->N;
        for (size_t j = 0; j < p->N; j++) s[j] += q * row[j];
    }
}

static void average(const flt_problem *p, double *s, double *out) {
    double top = -INFINITY, sum = 0.0;
    for (size_t j = 0; j < p->N; j++) top = fmax(top, s[j]);
    for (size_t j = 0; j < p->N; j++) sum += s[j] = exp(s[j] - top);
    for (size_t c = 0; c < p->dv; c++) out[c] = 0.0;
    for (size_t j = 0; j < p->N; j++)
        for (size_t c = 0; c < p->dv; c++) out[c] += s[j] / sum * (double)p->v[j * p->dv + c];
}

flt_err flt_exact_double(const flt_problem *p, const double *lags, double *out) {
    double *kt = NULL, *s = NULL;
    FLTX_TRY(flt_alloc(p->N, p->d * sizeof *kt, &kt));
    const flt_err err = flt_alloc(p->N, sizeof *s, &s);
    if (err == FLTE_OK) {
        for (size_t j = 0; j < p->N; j++)
            for (size_t c = 0; c < p->d; c++) kt[c * p->N + j] = (double)p->k[j * p->d + c];
        for (size_t i = 0; i < p->N; i++) {
            logits(p, i, kt, lags, s);
            average(p, s, out + i * p->dv);
        }
    }
    flt_free(s);
    flt_free(kt);
    return err;
}

double flt_relative_error(size_t n, const flt_real *got, const double *want) {
    double error = 0.0, scale = 0.0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        scale += want[i] * want[i];
    }
    return sqrt(error / scale);
}

double flt_held_bytes(void) {
#if defined __GLIBC__ && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    const struct mallinfo2 m = mallinfo2();
    const double bytes = (double)m.uordblks + (double)m.hblkhd;
    return bytes > 0.0 ? bytes : NAN; // other allocators (sanitizers) say nothing here
#else
    return NAN;
#endif
}
