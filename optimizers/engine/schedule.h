// SPDX-License-Identifier: MIT
// The course of a learning rate over steps, of hand-designed optimizers and of meta-training.
#ifndef FLTX_SCHEDULE_H
#define FLTX_SCHEDULE_H

#include <stdint.h>

typedef enum flt_schedule { FLTX_CONSTANT, FLTX_COSINE, FLTX_LINEAR } flt_schedule;

typedef struct flt_rate {
    double peak, final; // the largest rate, and the share of it that a cosine or linear schedule ends at
    flt_schedule schedule;
    double warmup, total; // steps
} flt_rate;

// "cosine", "linear"; constant for any other name: parameter tables check them.
flt_schedule flt_schedule_of(const char *name);

// The rate of step t, 0 at the first: peak min(1, (t + 1) / warmup), and behind the warm-up peak (final + (1 - final) c), with
// x = (t - warmup) / (total - warmup) and c = (1 + cos(pi x)) / 2 or 1 - x; peak final from `total` on.
double flt_rate_at(const flt_rate *r, uint64_t t);

#endif
