// SPDX-License-Identifier: MIT
// Points of the grid over which hand-designed optimizers are tuned: (settings and schedule, rate), the rate fastest. The first
// FLTX_TUNING_RATES points are the rates at default settings.
#ifndef FLTX_TUNING_H
#define FLTX_TUNING_H

#include "flt/evaluate.h"

enum { FLTX_TUNING_RATES = 15 };

size_t flt_tuning_points(flt_tuning tune, const flt_weights *w); // 1: nothing is tuned
double flt_tuning_rate(size_t point);
// "beta2=0.99,schedule=cosine,warmup=25,total=500"; "" for defaults
void flt_tuning_settings(const flt_weights *w, size_t point, size_t steps, size_t size, char *out);
flt_err flt_tuning_make(const flt_weights *w, size_t point, size_t steps, const flt_layout *layout, flt_optimizer **out);

#endif
