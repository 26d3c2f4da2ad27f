// SPDX-License-Identifier: MIT
#include "engine/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double flt_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

flt_progress flt_progress_start(bool quiet) {
    return (flt_progress){.on = !quiet && isatty(STDERR_FILENO) != 0, .started = flt_seconds()};
}

static int columns(void) {
    struct winsize size = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void flt_progress_show(flt_progress *p, double done, const char *status) {
    enum { WIDTH = 24 };
    const double now = flt_seconds();
    if (!p->on || now - p->started < 2.0 || now - p->last < 0.1) return;
    p->last = now;
    if (!(done >= 0.0)) done = 0.0;
    if (done > 1.0) done = 1.0;
    char bar[WIDTH + 1], line[512];
    for (int i = 0; i < WIDTH; i++) bar[i] = i < (int)(done * WIDTH) ? '#' : '.';
    bar[WIDTH] = '\0';
    const double left = done > 0.0 ? (now - p->started) * (1.0 - done) / done : 0.0;
    snprintf(line, sizeof line, "[%s] %3.0f%%  eta %d:%02d  %s", bar, 100.0 * done, (int)left / 60, (int)left % 60,
             status == NULL ? "" : status);
    fprintf(stderr, "\r\033[K%.*s", columns() - 1, line);
    fflush(stderr);
    p->shown = true;
}

void flt_progress_clear(flt_progress *p) {
    if (p->shown) fprintf(stderr, "\r\033[K");
    p->shown = false;
}
