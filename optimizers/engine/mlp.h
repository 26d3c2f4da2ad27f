// SPDX-License-Identifier: MIT
// The per-coordinate network of the learned optimizers mlp_lopt, small_fc_lopt and celo2: sizes, layout, starting point.
#ifndef FLTX_OPTIMIZERS_MLP_H
#define FLTX_OPTIMIZERS_MLP_H

#include "flt/objective.h"
#include "flt/params.h"
#include "flt/tensorfile.h"

enum { FLTX_MLP_LAYERS = 9, FLTX_MLP_WIDTH = 256 };

// Layer i maps width[i] to width[i + 1], with ReLU between layers; theta: layers.I.w [in, out], layers.I.b [out].
typedef struct flt_mlp {
    size_t n_layers; // hidden layers + 1
    size_t width[FLTX_MLP_LAYERS + 1];
    size_t w[FLTX_MLP_LAYERS], b[FLTX_MLP_LAYERS]; // offsets in theta
    size_t total;
} flt_mlp;

#define FLTX_MLP_PARAMS(hidden)                                                                                                  \
    {"hidden", FLTX_INT, hidden, 1, FLTX_MLP_WIDTH, NULL, "width of the hidden layers"}, {                                       \
        "layers", FLTX_INT, "2", 0, FLTX_MLP_LAYERS - 1, NULL, "hidden layers"                                                   \
    }

flt_mlp flt_mlp_make(const flt_params *p, size_t inputs, size_t outputs); // of "hidden" and "layers"
flt_err flt_mlp_layout(const flt_mlp *m, flt_layout *theta);
flt_err flt_mlp_add(const flt_mlp *m, flt_layout *theta); // behind what theta has
// Sets "hidden" and "layers" from the tensors of a weight file. FLTE_FORMAT, FLTE_SHAPE.
flt_err flt_mlp_infer(const char *who, const flt_tensors *weights, flt_params *p);
// What learned optimizers see of the time: tanh(t / tau - 1), tau = 1, 3, 10, .., 100000.
enum { FLTX_TIMES = 11 };
void flt_time_features(uint64_t t, double *times);
// Sets a size that the shapes of a weight file ask for.
flt_err flt_set_size(flt_params *p, const char *name, size_t x);
// Random layers of standard deviation 1 / sqrt(inputs), but output 0 is input `pass` and a little noise, the others noise:
// units 0 and 1 of every hidden layer carry +x and -x through the ReLUs.
void flt_mlp_init(const flt_mlp *m, size_t pass, uint64_t seed, flt_real *theta);

#endif
