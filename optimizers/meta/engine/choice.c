// SPDX-License-Identifier: MIT
// Named choices.
#include "meta/engine/choice.h"

#include <string.h>

flt_err flt_choice(const char *what, const char *value, const char *allowed, size_t *out) {
    const char *at = allowed;
    *out = 0;
    if (value == NULL) return FLTE_OK;
    for (size_t i = 0; *at != '\0'; i++) {
        const size_t n = strcspn(at, ",");
        if (strlen(value) == n && strncmp(value, at, n) == 0) {
            *out = i;
            return FLTE_OK;
        }
        at += n;
        at += strspn(at, ", ");
    }
    return flt_fail(FLTE_USAGE, "meta-training", "the %s '%s' is unknown; allowed: %s", what, value, allowed);
}

const char *flt_choice_name(const char *value, const char *fallback) {
    return value == NULL ? fallback : value;
}
