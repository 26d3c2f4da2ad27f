// SPDX-License-Identifier: MIT
// The weights that come with the program.
#include "engine/shipped.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char in_sources[] = FLTX_SOURCES "/optimizers/weights/flt.safetensors";

// PREFIX/bin/flt -> PREFIX/share/flt/flt.safetensors
static const char *installed(void) {
    static char path[4096];
    char program[3072];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(program, '/');
        if (slash != NULL) *slash = '\0';
    }
    snprintf(path, sizeof path, "%s/share/flt/flt.safetensors", program);
    return path;
}

const char *flt_shipped_weights(const char *file) {
    if (file == NULL || strcmp(file, "shipped") != 0) return file;
    const char *path = installed();
    return access(path, R_OK) == 0 || access(in_sources, R_OK) != 0 ? path : in_sources;
}
