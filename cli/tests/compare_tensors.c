// SPDX-License-Identifier: MIT
// compare_tensors GOT WANT TOLERANCE: every tensor of WANT is in GOT, of the same shape, within TOLERANCE (relative Frobenius
// norm).
#include "flt/memory.h"
#include "flt/tensorfile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double distance(const flt_tensor *got, const flt_tensor *want) {
    double *a = NULL, *b = NULL, error = 0.0, scale = 0.0;
    if (flt_alloc(want->count, sizeof *a, &a) != FLTE_OK || flt_alloc(want->count, sizeof *b, &b) != FLTE_OK) exit(3);
    flt_tensor_to_double(got, a);
    flt_tensor_to_double(want, b);
    for (size_t i = 0; i < want->count; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        scale += b[i] * b[i];
    }
    flt_free(a);
    flt_free(b);
    return sqrt(error / scale);
}

int main(int argc, char **argv) {
    flt_tensors *got = NULL, *want = NULL;
    int status = 0;
    if (argc != 4) return 2;
    if (flt_tensors_read(argv[1], &got) != FLTE_OK || flt_tensors_read(argv[2], &want) != FLTE_OK) {
        fprintf(stderr, "%s\n", flt_error());
        return 3;
    }
    for (size_t i = 0; i < flt_tensors_count(want); i++) {
        const flt_tensor *w = flt_tensors_at(want, i), *g = flt_tensors_find(got, w->name);
        if (g == NULL || flt_tensor_expect(argv[1], g, w->rank, w->dim) != FLTE_OK) {
            fprintf(stderr, "%s: %s is missing or has another shape\n", argv[1], w->name);
            status = 1;
            continue;
        }
        const double error = distance(g, w);
        printf("%s %.3g\n", w->name, error);
        if (!(error <= strtod(argv[3], NULL))) status = 1;
    }
    flt_tensors_destroy(got);
    flt_tensors_destroy(want);
    return status;
}
