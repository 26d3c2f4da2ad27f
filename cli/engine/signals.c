// SPDX-License-Identifier: MIT
#include "engine/session.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t stop_requests;

// A second Ctrl-C is a person who does not want to wait. SIGTERM comes from launchers, some of which send it twice, and they have
// SIGKILL for what takes too long.
static void on_stop(int signal_number) {
    if (stop_requests > 0 && signal_number == SIGINT) _exit(128 + signal_number);
    stop_requests = 1;
}

void flt_signals_install(void) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

void flt_signals_listen(void) {
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGHUP, &stop, NULL);
}

bool flt_signals_stopped(void) {
    return stop_requests > 0;
}
