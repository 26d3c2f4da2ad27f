// SPDX-License-Identifier: MIT
// libFuzzer target: whatever the bytes, a tensor file is refused with a sentence or every byte that it promises can be read.
// Built with -DFLT_FUZZ=ON and clang; scripts/fuzz.sh builds and runs it.
#include "flt/memory.h"
#include "flt/tensorfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

// Reads all that belongs to the tensor.
static void use(const flt_tensors *t, const flt_tensor *x) {
    double *values = NULL;
    if (flt_tensors_find(t, x->name) != x) abort();
    if (x->data == NULL || (uintptr_t)x->data % 8 != 0) abort();
    if (flt_alloc(x->count, sizeof *values, &values) != FLTE_OK) abort();
    flt_tensor_to_double(x, values);
    if (flt_tensor_finite("fuzz", x) == FLTE_OK && flt_tensor_expect("fuzz", x, x->rank, x->dim) != FLTE_OK) abort();
    flt_free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    flt_tensors *t = NULL;
    flt_error_clear();
    const flt_err err = flt_tensors_parse("fuzz", bytes, size, &t);
    if (err == FLTE_OK) {
        for (size_t i = 0; i < flt_tensors_count(t); i++) use(t, flt_tensors_at(t, i));
        flt_tensors_meta(t, "k");
    } else if (err != FLTE_FORMAT || t != NULL || strlen(flt_error()) == 0) {
        abort();
    }
    flt_tensors_destroy(t);
    if (flt_live_blocks() != 0) abort();
    return 0;
}
