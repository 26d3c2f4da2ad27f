// SPDX-License-Identifier: MIT
#include "flt/results.h"

const flt_sink *flt_store_sink(flt_store *s) {
    (void)s;
    return NULL;
}
