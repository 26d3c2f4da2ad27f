// SPDX-License-Identifier: MIT
// What shift-invariant kernels share: f(z) = c k(|z| / scale) with k(0) = 1. Private to core/rpe.
//
// By Bochner's theorem k is the characteristic function of a density p, its spectrum: g = c p. Drawn from p itself, the ratio
// g/p is the constant c = f(0): the estimate at z = 0 has no error, and none elsewhere exceeds 2c. All of them are scale mixtures
// of Gaussians, hence isotropic in any dimension l and sampled exactly: xi = sigma N(0, I), with a random sigma.
#ifndef FLTX_RPE_KERNEL_H
#define FLTX_RPE_KERNEL_H

#include "flt/rpe.h"

// clang-format off
#define FLTX_RPE_KERNEL_ARGS {{"c", 1.0}, {"scale", NAN}}
// clang-format on

flt_err flt_rpe_kernel_check(const char *who, const flt_rpe_args *a); // c finite, scale positive
double flt_rpe_norm(size_t l, const double *z);                       // |z|
double flt_rpe_normal_quantile(double u); // Phi^-1, relative error below 1e-14 (Acklam's start, one Halley step)

// f [n] = c k(|z| / scale)
void flt_rpe_kernel_closed_form(const flt_rpe_args *a, double (*k)(double), size_t n, const double *z, double *f);

// Adds the gradients of c k(|z| / scale); slope = k'.
void flt_rpe_kernel_back(const flt_rpe_args *a, double (*k)(double), double (*slope)(double), size_t n, const double *z,
                         const double *df, const flt_rpe_slots *to);

// xi = Student's t in l dimensions with df degrees of freedom over 2 pi scale: l + df coordinates of the cube.
void flt_rpe_student_place(const flt_rpe_args *a, size_t df, size_t r, const double *u, double *xi, double *rho);
// c (2 pi scale)^l times the density of Student's t with df degrees of freedom.
void flt_rpe_student_spectrum(const flt_rpe_args *a, size_t df, size_t n, const double *xi, double *g);
void flt_rpe_student_back(const flt_rpe_args *a, size_t df, size_t n, const double *xi, const double *dg,
                          const flt_rpe_slots *to);

// weight = 1/p, where p is the spectrum of c = 1
void flt_rpe_kernel_weigh(const flt_rpe_kind *kind, const flt_rpe_args *a, size_t r, const double *xi, double *weight);

// draw by the kind's own `place` from independent uniform points.
flt_err flt_rpe_draw_cube(const flt_rpe_kind *kind, const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho);

#endif
