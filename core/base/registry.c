// SPDX-License-Identifier: MIT
// Looking up kinds by name, suggesting the nearest name, hashing what is registered.
#include "flt/registry.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 63, MIN_PART = 3 };

static bool same(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

// Levenshtein distance of two names cut to MAX_NAME characters, capitals aside.
static size_t edit_distance(const char *a, const char *b) {
    const size_t na = strnlen(a, MAX_NAME), nb = strnlen(b, MAX_NAME);
    size_t row[MAX_NAME + 1];
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t above = row[j];
            size_t best = diagonal + !same(a[i - 1], b[j - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[nb];
}

// 0 for a name that contains the other: "gaussian" is near "gaussian_mixture" however much longer that is.
static size_t distance(const char *given, const char *candidate) {
    const bool part = (strlen(given) >= MIN_PART && strstr(candidate, given) != NULL) ||
                      (strlen(candidate) >= MIN_PART && strstr(given, candidate) != NULL);
    return part ? 0 : edit_distance(given, candidate);
}

const char *flt_nearest(const char *name, const char *const *names) {
    const char *best = NULL;
    size_t least = strlen(name) / 3 + 2; // beyond this many edits nothing resembles it
    for (; *names != NULL; names++) {
        const size_t d = distance(name, *names);
        if (d < least) {
            least = d;
            best = *names;
        }
    }
    return best;
}

size_t flt_registry_count(const flt_registry *r) {
    size_t n = 0;
    while (r->kinds[n] != NULL) n++;
    return n;
}

static flt_err unknown(const flt_registry *r, const char *name) {
    const char *names[256] = {NULL};
    char list[768] = "";
    for (size_t i = 0; r->kinds[i] != NULL && i < 255; i++) {
        names[i] = r->kinds[i]->name;
        if (i > 0) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, names[i], sizeof list - strlen(list) - 1);
    }
    const char *near = flt_nearest(name, names);
    if (near == NULL) return flt_fail(FLTE_NAME, r->noun, "'%.80s' is unknown; valid names: %s", name, list);
    return flt_fail(FLTE_NAME, r->noun, "'%.80s' is unknown; did you mean '%s'? valid names: %s", name, near, list);
}

flt_err flt_registry_find(const flt_registry *r, const char *name, const flt_kind **out) {
    FLTX_GIVEN(r, out);
    *out = NULL;
    if (name == NULL) return unknown(r, "(NULL)"); // a description whose name was left out
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        if (strcmp(r->kinds[i]->name, name) == 0) {
            *out = r->kinds[i];
            return FLTE_OK;
        }
    }
    return unknown(r, name);
}

// FNV-1a over texts, the closing zero included so that "ab","c" and "a","bc" differ.
static void mix(uint64_t *h, const char *text) {
    if (text == NULL) text = "";
    do {
        *h ^= (unsigned char)*text;
        *h *= 0x100000001b3u;
    } while (*text++ != '\0');
}

uint64_t flt_registry_hash(const flt_registry *const *registries, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    mix(&h, FLTX_VERSION);
    for (size_t i = 0; i < n; i++) {
        mix(&h, registries[i]->family);
        for (size_t k = 0; registries[i]->kinds[k] != NULL; k++) {
            mix(&h, registries[i]->kinds[k]->name);
            const flt_param_spec *p = registries[i]->kinds[k]->params;
            for (; p != NULL && p->name != NULL; p++) {
                mix(&h, p->name);
                mix(&h, p->initial);
            }
        }
    }
    return h;
}
