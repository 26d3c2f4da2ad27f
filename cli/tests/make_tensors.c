// SPDX-License-Identifier: MIT
// make_tensors OUT SEED NAME:DIMxDIM[:KIND] ..: a safetensors file of random tensors for the shell tests. KIND: n normal
// (default), p positive, i 0 1 2 .., nan normal with one NaN, hide normal with -inf in the middle row. A scalar has no DIM:
// "NAME:".
#include "flt/memory.h"
#include "flt/random.h"
#include "flt/tensorfile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct item {
    char name[64];
    size_t rank, dim[FLTX_MAX_RANK], count;
    flt_real *data;
} item;

static void parse(const char *text, uint64_t seed, item *t) {
    const char *at = strchr(text, ':');
    *t = (item){.count = 1};
    snprintf(t->name, sizeof t->name, "%.*s", (int)(at - text), text);
    at++;
    while (*at >= '0' && *at <= '9' && t->rank < FLTX_MAX_RANK) {
        char *end = NULL;
        t->dim[t->rank] = strtoul(at, &end, 10);
        t->count *= t->dim[t->rank++];
        at = *end == 'x' ? end + 1 : end;
    }
    const char *kind = *at == ':' ? at + 1 : "n";
    if (flt_alloc(t->count, sizeof *t->data, &t->data) != FLTE_OK) exit(3);
    flt_rng_normal(flt_rng_make(seed, t->name, 0), 0, t->count, t->data);
    for (size_t i = 0; i < t->count; i++) {
        if (kind[0] == 'p') t->data[i] = (flt_real)fabs((double)t->data[i]);
        if (kind[0] == 'i') t->data[i] = (flt_real)i;
    }
    if (strcmp(kind, "hide") == 0)
        for (size_t j = 0; j < t->dim[1]; j++) t->data[t->dim[0] / 2 * t->dim[1] + j] = (flt_real)-INFINITY;
    if (strcmp(kind, "nan") == 0) t->data[t->count / 2] = (flt_real)NAN;
}

int main(int argc, char **argv) {
    enum { MAX_ITEMS = 64 };
    static item items[MAX_ITEMS];
    flt_tensor_writer *w = NULL;
    if (argc < 3 || argc - 3 > MAX_ITEMS || flt_tensor_writer_create(&w) != FLTE_OK) return 2;
    for (int i = 3; i < argc; i++) {
        item *t = &items[i - 3];
        if (strchr(argv[i], ':') == NULL) return 2;
        parse(argv[i], strtoull(argv[2], NULL, 10), t);
        if (flt_tensor_writer_real(w, t->name, t->rank, t->dim, t->data) != FLTE_OK) return 3;
    }
    const flt_err err = flt_tensor_writer_save(w, argv[1]);
    if (err != FLTE_OK) fprintf(stderr, "%s\n", flt_error());
    flt_tensor_writer_destroy(w);
    for (int i = 3; i < argc; i++) flt_free(items[i - 3].data);
    return flt_err_status(err);
}
