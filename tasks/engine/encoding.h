// SPDX-License-Identifier: MIT
// Relative positional encodings with learned parameters, as nodes: f at all offsets for mechanisms that take a bias, frequencies
// and ratios for FLT. Each head has its own. The formulas are those of core/rpe; see tasks/engine/encoding.c.
#ifndef FLTX_TASK_ENCODING_H
#define FLTX_TASK_ENCODING_H

#include "engine/graph_task.h"
#include "flt/rpe.h"

typedef struct flt_encoding {
    const flt_rpe_kind *kind;
    size_t heads, components; // components: of a mixture
    size_t n, l;
    const double *pos; // [n, l]; NULL: 0 .. n - 1, l = 1
} flt_encoding;

// FLTE_UNSUPPORTED unless the encoding can be learned on these positions, as a bias or (`spectrum`) as frequencies.
flt_err flt_encoding_check(const char *who, const flt_encoding *e, bool spectrum);

// f(r_i - r_j) for each head: [heads, n, n], or on 0 .. n - 1 with `lags` [heads, 2n - 1], b_{j-i} at (j - i) + n - 1. Errors
// stay in the model.
flt_node flt_encoding_bias(flt_task_model *m, const char *name, const flt_encoding *e, bool lags);

// The same between points that are data: pos [rows, n, l] -> [rows, heads, n, n]. For gaussian_mixture and the kernels of
// distance (gaussian, laplace, matern32, matern52, cauchy), as flt_encoding_check_points says.
flt_node flt_encoding_bias_between(flt_task_model *m, const char *name, const flt_encoding *e, flt_node pos);
flt_err flt_encoding_check_points(const char *who, const flt_encoding *e);

// Frequencies xi [heads, r, l] and ratios rho [heads, r] with (1/r) sum rho cos(2 pi xi.z) ~ f(z), as functions of the
// parameters. r: at least `at_least`, a multiple of the components.
typedef struct flt_encoding_lines {
    size_t r;
    flt_node xi, rho;
} flt_encoding_lines;
flt_encoding_lines flt_encoding_spectrum(flt_task_model *m, const char *name, const flt_encoding *e, size_t at_least);

#endif
