// SPDX-License-Identifier: MIT
// Kinds and registries. A family (attention mechanisms, encodings, graph ops, tasks, optimizers, estimators, checks, verbs) is
// a folder; each file in it defines one constant descriptor whose first member is flt_kind; the build lists them in a table.
#ifndef FLTX_REGISTRY_H
#define FLTX_REGISTRY_H

#include "flt/params.h"

FLTX_BEGIN_DECLS

typedef struct flt_kind {
    const char *name;
    const char *summary;          // one line
    const char *formula;          // in plain characters; NULL where there is none
    const char *cost;             // "time O(N m (d + dv)), memory O(N)"; NULL where it says nothing
    const char *citation;         // reference; NULL where there is none
    unsigned caps;                // capability bits, named by the registry
    const flt_param_spec *params; // NULL: none
} flt_kind;

typedef struct flt_registry {
    const char *family;           // "attention"
    const char *noun;             // "attention mechanism": used in sentences
    const flt_kind *const *kinds; // ends with NULL; alphabetical
    const char *const *caps;      // names of the capability bits, lowest first, ends with NULL; may be NULL
} flt_registry;

// Errors: FLTE_NAME, with the valid names and the nearest match; also for a name that is NULL, as in a descriptor left empty.
flt_err flt_registry_find(const flt_registry *r, const char *name, const flt_kind **out);
size_t flt_registry_count(const flt_registry *r);

// A hash over names, defaults and version of the kinds of `n` registries: rows of different code are told apart by it.
uint64_t flt_registry_hash(const flt_registry *const *registries, size_t n);

// The nearest of `names` (ends with NULL) by edit distance, NULL when nothing is near.
const char *flt_nearest(const char *name, const char *const *names);

FLTX_END_DECLS

#endif
