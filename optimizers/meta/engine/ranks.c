// SPDX-License-Identifier: MIT
// What is made of the collective calls: shares, agreement on failures, tables of cells.
#include "flt/ranks.h"

#include "flt/memory.h"

#include <stdio.h>
#include <string.h>

static const char who[] = "ranks";
enum { SENTENCE = 1024 };

int flt_ranks_me(const flt_ranks *r) {
    return r == NULL ? 0 : r->me;
}
int flt_ranks_count(const flt_ranks *r) {
    return r == NULL ? 1 : r->count;
}

// rank n / count, without its overflow
size_t flt_ranks_first(const flt_ranks *r, size_t n, int rank) {
    const size_t count = (size_t)flt_ranks_count(r), k = (size_t)rank, left = n % count;
    return n / count * k + (k < left ? k : left);
}

bool flt_ranks_own(const flt_ranks *r, size_t cell) {
    return cell % (size_t)flt_ranks_count(r) == (size_t)flt_ranks_me(r);
}

// Offsets of equal items, one a rank.
static flt_err equal_offsets(const flt_ranks *r, size_t bytes, size_t **out) {
    FLTX_TRY(flt_alloc((size_t)r->count + 1, sizeof **out, out));
    for (size_t k = 0; k <= (size_t)r->count; k++) (*out)[k] = k * bytes;
    return FLTE_OK;
}

// Everyone's `mine` [bytes] in *table [count, bytes], freed by the caller. Memory for it is a few bytes a rank: a rank that
// cannot have them cannot tell the others either, and they learn it from its end.
static flt_err everyone(const flt_ranks *r, const void *mine, size_t bytes, void *table) {
    size_t *offset = NULL;
    unsigned char *all = NULL;
    flt_err err = equal_offsets(r, bytes, &offset);
    if (err == FLTE_OK) err = flt_alloc((size_t)r->count, bytes, &all);
    if (err == FLTE_OK) {
        memcpy(all + (size_t)r->me * bytes, mine, bytes);
        err = r->exchange(r->self, all, offset);
    }
    if (err != FLTE_OK) r->state->broken = true;
    flt_free(offset);
    memcpy(table, &all, sizeof all);
    return err;
}

// The sentence of rank `from`, on everyone.
static flt_err share_failure(const flt_ranks *r, int from, flt_err code) {
    char sentence[SENTENCE];
    snprintf(sentence, sizeof sentence, "%s", flt_error());
    r->state->failed = true;
    const flt_err err = r->broadcast(r->self, from, sentence, sizeof sentence);
    if (err != FLTE_OK) return err;
    if (from == 0) return flt_error_restore(code, sentence);
    char name[32];
    snprintf(name, sizeof name, "rank %d", from);
    return flt_fail(code, name, "%s", sentence);
}

flt_err flt_ranks_agree(const flt_ranks *r, flt_err mine) {
    int32_t *codes = NULL;
    if (r == NULL || r->count == 1 || r->state->failed || r->state->broken) return mine;
    flt_err err = everyone(r, &(int32_t){(int32_t)mine}, sizeof *codes, &codes);
    for (int k = 0; err == FLTE_OK && k < r->count; k++) {
        if (codes[k] == FLTE_OK) continue;
        err = share_failure(r, k, (flt_err)codes[k]);
        break;
    }
    flt_free(codes);
    return err;
}

// FNV-1a
static uint64_t hash(const char *text) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *text != '\0'; text++) h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return h;
}

flt_err flt_ranks_same(const flt_ranks *r, const char *what, const char *text) {
    uint64_t *all = NULL;
    if (r == NULL || r->count == 1 || r->state->failed || r->state->broken) return FLTE_OK;
    const uint64_t mine = hash(text);
    flt_err err = everyone(r, &mine, sizeof mine, &all);
    if (err == FLTE_OK && mine != all[0])
        err = flt_fail(FLTE_USAGE, what, "'%s' here differs from rank 0's; all ranks need the same", text);
    flt_free(all);
    return flt_ranks_agree(r, err);
}

// Cell c of rank k is number c / count of its cells: packed rank by rank, exchanged, unpacked.
static void repack(const flt_ranks *r, size_t n, size_t bytes, unsigned char *table, unsigned char *packed, bool in) {
    const size_t count = (size_t)r->count;
    size_t at = 0;
    for (size_t k = 0; k < count; k++) {
        for (size_t c = k; c < n; c += count, at++) {
            if (in)
                memcpy(packed + at * bytes, table + c * bytes, bytes);
            else
                memcpy(table + c * bytes, packed + at * bytes, bytes);
        }
    }
}

flt_err flt_ranks_cells(const flt_ranks *r, size_t n, size_t bytes, void *table, flt_err mine) {
    unsigned char *packed = NULL;
    size_t *offset = NULL;
    if (r == NULL || r->count == 1) return mine;
    const size_t count = (size_t)r->count;
    if (mine == FLTE_OK) mine = flt_alloc(n, bytes, &packed);
    if (mine == FLTE_OK) mine = flt_alloc(count + 1, sizeof *offset, &offset);
    flt_err err = flt_ranks_agree(r, mine);
    if (err == FLTE_OK && r->state->broken) err = flt_fail(FLTE_IO, who, "a rank is gone");
    if (err == FLTE_OK) {
        for (size_t k = 0; k < count; k++) offset[k + 1] = offset[k] + (n > k ? (n - k + count - 1) / count : 0) * bytes;
        repack(r, n, bytes, table, packed, true);
        err = r->exchange(r->self, packed, offset);
    }
    if (err == FLTE_OK) repack(r, n, bytes, table, packed, false);
    flt_free(packed);
    flt_free(offset);
    return err;
}
