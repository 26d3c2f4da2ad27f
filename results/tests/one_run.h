// SPDX-License-Identifier: MIT
// For suites whose tests each begin with a store of their own that holds one run: .init = begin, .fini = end.
#ifndef FLTX_RESULTS_TEST_ONE_RUN_H
#define FLTX_RESULTS_TEST_ONE_RUN_H

#include "support.h"

static flt_store *s;
__attribute__((unused)) static const flt_sink *sink; // of s

static void begin(void) {
    enter();
    s = open_store(FLTX_STORE_WRITE);
    sink = flt_store_sink(s);
    new_run(s);
}

static void end(void) {
    flt_store_close(s);
    leave();
}

#endif
