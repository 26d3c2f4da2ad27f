// SPDX-License-Identifier: MIT
// Named choices of a configuration.
#ifndef FLTX_CHOICE_H
#define FLTX_CHOICE_H

#include "flt/error.h"

// The place of `value` among `allowed`, "first, second, ..", in *out; NULL is the first. FLTE_USAGE naming `what`, the value and
// what is allowed.
flt_err flt_choice(const char *what, const char *value, const char *allowed, size_t *out);
// NULL as the name it stands for.
const char *flt_choice_name(const char *value, const char *fallback);

#endif
