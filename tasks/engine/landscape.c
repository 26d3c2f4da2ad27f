// SPDX-License-Identifier: MIT
// Starts and shorthands of test functions.
#include "engine/landscape.h"
#include "flt/random.h"

void flt_start_uniform(const char *task, uint64_t seed, size_t n, double low, double high, flt_real *theta) {
    const flt_rng r = flt_rng_make(seed, task, 0);
    for (size_t i = 0; i < n; i++) theta[i] = (flt_real)(low + (high - low) * flt_rng_uniform_at(r, i));
}

void flt_start_shell(const char *task, uint64_t seed, size_t n, double low, double high, flt_real *theta) {
    const flt_rng sign = flt_rng_make(seed, task, 1);
    flt_start_uniform(task, seed, n, low, high, theta);
    for (size_t i = 0; i < n; i++)
        if (flt_rng_below(sign, i, 2) == 1) theta[i] = -theta[i];
}

flt_node flt_variables(flt_task_model *m, size_t n) {
    return flt_task_tensor(m, "x", 1, &n, (flt_task_init){.std = 1.0});
}

flt_node flt_coordinate(flt_graph *g, flt_node x, size_t i) {
    return flt_slice(g, x, 0, i, 1);
}

flt_node flt_add_scaled(flt_graph *g, flt_node a, flt_node b, double factor) {
    return flt_add(g, a, flt_scale(g, b, factor));
}
