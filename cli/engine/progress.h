// SPDX-License-Identifier: MIT
// One line of progress with an ETA, on a terminal only, and only once the work has taken two seconds.
#ifndef FLTX_PROGRESS_H
#define FLTX_PROGRESS_H

#include <stdbool.h>

typedef struct flt_progress {
    bool on, shown;
    double started, last; // seconds
} flt_progress;

flt_progress flt_progress_start(bool quiet);
void flt_progress_show(flt_progress *p, double done, const char *status);
void flt_progress_clear(flt_progress *p);
double flt_seconds(void); // monotonic clock

#endif
