// SPDX-License-Identifier: MIT
// The recipes of the fidelity table. A choice that a mechanism does not offer is left out of the table with a record.
#include "engine/fidelity.h"

// clang-format off
const flt_recipe flt_recipes[] = {
    // the published recipe: independent frequencies, independent rows of omega, plain positive features
    {"flt", "draw=iid,sampling=mc", true, true, true, NULL, false},
    {"flt", "sampling=mc", true, true, false, NULL, false},
    {"flt", "sampling=orthogonal", true, true, false, NULL, false},
    {"flt", "sampling=qmc", true, true, false, NULL, false},
    {"flt", "sampling=quadrature", true, true, false, NULL, false},
    {"flt", "sampling=quadrature,split=balanced", true, true, false, NULL, false},
    {"flt", "sampling=quadrature,features=hyperbolic", true, true, false, NULL, false},
    {"flt", "sampling=quadrature,features=relu", true, true, false, NULL, false},
    {"flt", "sampling=quadrature,features=favor++", true, true, false, NULL, false},
    {"flt", "sampling=quadrature,centre=mean", true, true, false, NULL, false},
    {"flt", "sampling=quadrature,features=favor++,centre=mean", true, true, false, NULL, false},
    // the mask itself, polynomials of q.k: no randomness
    {"taylor", "order=0", false, false, false, NULL, false},
    {"taylor", "order=0,nodes=256", false, false, false, NULL, false},
    {"taylor", "order=1,nodes=16", false, false, false, NULL, false},
    {"taylor", "order=1", false, false, false, NULL, false},
    {"taylor", "order=1,nodes=256", false, false, false, NULL, false},
    {"taylor", "order=1,centre=none", false, false, false, NULL, false},
    {"taylor", "order=2", false, false, false, NULL, false},
    // exact mask, random features
    {"nprf", "normalise=false", true, false, false, NULL, true},
    {"nprf", "", true, false, false, NULL, false},
    // no mask
    {"performer", "draw=iid", true, false, false, NULL, false},
    {"performer", "features=hyperbolic", true, false, false, NULL, false},
    {"performer", "features=relu", true, false, false, NULL, false},
    {"performer", "features=favor++", true, false, false, NULL, false},
    {"performer", "features=favor++,centre=mean", true, false, false, NULL, false},
    {"linear", "features=elu", false, false, false, NULL, false},
    {"linear", "features=relu", false, false, false, NULL, false},
    // encodings or mixings of their own
    {"spe_sine", "", true, false, false, "R", false},
    {"spe_conv", "", true, false, false, "R", false},
    {"fourier", "", true, false, false, "keep", false},
};
// clang-format on
const size_t flt_n_recipes = sizeof flt_recipes / sizeof *flt_recipes;
