// SPDX-License-Identifier: MIT
// Courses of learning rates.
#include "engine/schedule.h"

#include <math.h>
#include <string.h>

flt_schedule flt_schedule_of(const char *name) {
    return strcmp(name, "cosine") == 0 ? FLTX_COSINE : strcmp(name, "linear") == 0 ? FLTX_LINEAR : FLTX_CONSTANT;
}

double flt_rate_at(const flt_rate *r, uint64_t t) {
    const double now = (double)t;
    if (now < r->warmup) return fmin(r->peak, r->peak * (now + 1) / r->warmup);
    if (r->schedule == FLTX_CONSTANT) return r->peak;
    if (now >= r->total) return r->peak * r->final;
    const double x = (now - r->warmup) / (r->total - r->warmup);
    const double course = r->schedule == FLTX_COSINE ? 0.5 * (1 + cos(3.14159265358979323846 * x)) : 1 - x;
    return r->peak * (r->final + (1 - r->final) * course);
}
