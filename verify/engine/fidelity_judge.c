// SPDX-License-Identifier: MIT
// Which rows of a fidelity group nobody beats, and how each recipe stands beside the published one.
#include "engine/fidelity.h"

#include <math.h>

static bool beats(const flt_fidelity_row *a, const flt_fidelity_row *b) {
    return a->error <= b->error && a->seconds <= b->seconds && (a->error < b->error || a->seconds < b->seconds);
}

static void mark_best(size_t n, flt_fidelity_row *rows) {
    for (size_t i = 0; i < n; i++) {
        rows[i].best = isfinite(rows[i].error) != 0;
        for (size_t j = 0; j < n; j++) rows[i].best = rows[i].best && !beats(&rows[j], &rows[i]);
    }
}

// The published recipe's row whose m is nearest to 256 in ratio.
static const flt_fidelity_row *find_reference(size_t n, const flt_fidelity_row *rows) {
    const flt_fidelity_row *found = NULL;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double far = fabs(log2((double)rows[i].m / 256.0));
        if (rows[i].published && far < least) least = far, found = &rows[i];
    }
    return found;
}

static flt_fidelity_ratio compare(const flt_fidelity_group *g, size_t recipe) {
    flt_fidelity_ratio out = {flt_recipes[recipe].mechanism, flt_recipes[recipe].options, NAN, NAN};
    const flt_fidelity_row *ref = g->reference;
    for (size_t i = 0; i < g->n_rows; i++) {
        const flt_fidelity_row *row = &g->rows[i];
        if (row->recipe != recipe) continue;
        if (row->error <= ref->error) out.time = fmin(out.time, row->seconds / ref->seconds); // fmin passes a NaN over
        if (row->seconds <= ref->seconds) out.error = fmin(out.error, row->error / ref->error);
    }
    return out;
}

void flt_fidelity_judge(flt_fidelity_group *g, flt_fidelity_row *rows, flt_fidelity_ratio *ratios) {
    mark_best(g->n_rows, rows);
    g->reference = find_reference(g->n_rows, rows);
    g->ratios = ratios;
    g->n_ratios = 0;
    for (size_t r = 0; g->reference != NULL && r < flt_n_recipes; r++) {
        const flt_fidelity_ratio x = compare(g, r);
        if (!isnan(x.time) || !isnan(x.error)) ratios[g->n_ratios++] = x;
    }
}
