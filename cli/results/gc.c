// SPDX-License-Identifier: MIT
// flt results gc: removes what no run refers to any more, and packs the file.
#include "results/sub.h"

static flt_err run(const flt_sub_input *in, flt_store *store) {
    flt_gc gc;
    FLTX_TRY(flt_store_gc(store, &gc));
    if (in->common.json)
        printf("{\"machines\": %lld, \"metrics\": %lld, \"bytes_before\": %lld, \"bytes_after\": %lld}\n", gc.machines,
               gc.metrics, gc.bytes_before, gc.bytes_after);
    else
        printf("removed %lld unused descriptions of machines and %lld of metrics; %.1f kB became %.1f kB\n", gc.machines,
               gc.metrics, (double)gc.bytes_before / 1e3, (double)gc.bytes_after / 1e3);
    return FLTE_OK;
}

const flt_sub flt_sub_gc = {.name = "gc",
                            .summary = "Removes what no run refers to any more, packs the file",
                            .example = "flt results gc",
                            .mode = FLTX_STORE_WRITE,
                            .run = run};
