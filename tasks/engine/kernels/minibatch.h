// SPDX-License-Identifier: MIT
// The loops behind minibatches of images, one table per instruction set.
#ifndef FLTX_TASKS_MINIBATCH_H
#define FLTX_TASKS_MINIBATCH_H

#include "engine/shuffle.h"
#include "flt/isa.h"

// A window into the bordered images of a dataset.
typedef struct minibatch_window {
    size_t height, width, stride; // stride: from one row of the frame to the next
    flt_real scale;
} minibatch_window;

typedef struct minibatch_kernels {
    // One pass through the network for n numbers below a b: those in x, in place; first, first + 1, ..
    void (*permute)(const flt_shuffle *s, size_t n, uint32_t *x);
    void (*permute_range)(const flt_shuffle *s, uint32_t first, size_t n, uint32_t *x);
    // out [height, width] = scale pixels
    void (*copy)(const minibatch_window *w, const unsigned char *corner, flt_real *out);
    // out [height, width] = scale pixels + deviation normal
    void (*copy_noisy)(const minibatch_window *w, const unsigned char *corner, flt_real deviation, const float *normal,
                       flt_real *out);
} minibatch_kernels;

FLTX_ISA_DECLARE(minibatch_kernels);

#endif
