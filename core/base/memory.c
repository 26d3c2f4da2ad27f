// SPDX-License-Identifier: MIT
// The one file that calls the system allocator.
#include "flt/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
enum { REDZONE = 64 };
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { REDZONE = 0 };
#endif

static atomic_size_t live_blocks, live_bytes, requests;
static atomic_long fail_after = -1;

size_t flt_live_blocks(void) {
    return atomic_load(&live_blocks);
}
size_t flt_live_bytes(void) {
    return atomic_load(&live_bytes);
}
size_t flt_alloc_count(void) {
    return atomic_load(&requests);
}
void flt_fail_alloc_after(long n) {
    atomic_store(&fail_after, n < 0 ? -1 : n);
}

// True when this request is the one that the test asked to fail; every later one fails as well until the counter is reset.
static bool injected(void) {
    const long left = atomic_load(&fail_after);
    if (left < 0) return false;
    if (left == 0) return true;
    return atomic_fetch_sub(&fail_after, 1) <= 0;
}

bool flt_mul_ok(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

static size_t round_up(size_t n) {
    return (n + FLTX_ALIGN - 1) / FLTX_ALIGN * FLTX_ALIGN;
}

flt_err flt_alloc(size_t count, size_t size, void *out) {
    FLTX_GIVEN(out);
    size_t bytes = 0;
    void *block = NULL;
    memcpy(out, &block, sizeof block);
    atomic_fetch_add(&requests, 1);
    if (!flt_mul_ok(count, size, &bytes) || bytes > PTRDIFF_MAX - FLTX_ALIGN)
        return flt_fail(FLTE_NOMEM, "memory", "%zu elements of %zu bytes do not fit in the address space", count, size);
    bytes = bytes == 0 ? FLTX_ALIGN : round_up(bytes);
    if (!injected()) block = aligned_alloc(FLTX_ALIGN, bytes);
    if (block == NULL) return flt_fail(FLTE_NOMEM, "memory", "%zu bytes were refused by the system", bytes);
    memset(block, 0, bytes);
    atomic_fetch_add(&live_blocks, 1);
    atomic_fetch_add(&live_bytes, malloc_usable_size(block));
    memcpy(out, &block, sizeof block);
    return FLTE_OK;
}

void flt_free(void *p) {
    if (p == NULL) return;
    atomic_fetch_sub(&live_blocks, 1);
    atomic_fetch_sub(&live_bytes, malloc_usable_size(p));
    free(p);
}

flt_err flt_strdup(const char *text, char **out) {
    FLTX_GIVEN(text, out);
    const size_t n = strlen(text) + 1;
    FLTX_TRY(flt_alloc(n, 1, out));
    memcpy(*out, text, n);
    return FLTE_OK;
}

flt_ws flt_ws_measure(void) {
    return (flt_ws){0};
}

flt_ws flt_ws_over(void *block, size_t size) {
    POISON(block, size);
    return (flt_ws){.base = block, .size = size};
}

void *flt_ws_take(flt_ws *ws, size_t count, size_t size) {
    size_t bytes = 0, end = 0;
    if (!flt_mul_ok(count, size, &bytes) || bytes > PTRDIFF_MAX / 2 ||
        __builtin_add_overflow(ws->used, round_up(bytes) + REDZONE, &end) || (ws->base != NULL && end > ws->size)) {
        ws->overflow = true;
        return NULL;
    }
    void *slice = ws->base == NULL ? NULL : ws->base + ws->used;
    ws->used = end;
    if (slice != NULL) UNPOISON(slice, bytes);
    return slice;
}

void flt_ws_release(flt_ws *ws) {
    if (ws != NULL && ws->base != NULL) UNPOISON(ws->base, ws->size);
}

flt_err flt_ws_create(void (*bind)(void *self, flt_ws *ws), void *self, flt_ws *out) {
    FLTX_GIVEN(bind, out);
    flt_ws pass = flt_ws_measure();
    void *block = NULL;
    *out = (flt_ws){0};
    bind(self, &pass);
    if (pass.overflow) return flt_fail(FLTE_NOMEM, "workspace", "its size does not fit in the address space");
    FLTX_TRY(flt_alloc(pass.used, 1, &block));
    *out = flt_ws_over(block, pass.used);
    bind(self, out);
    if (!out->overflow && out->used == pass.used) return FLTE_OK;
    flt_ws_destroy(out);
    return flt_fail(FLTE_INTERNAL, "workspace", "its two passes differ");
}

void flt_ws_destroy(flt_ws *ws) {
    if (ws == NULL) return;
    flt_ws_release(ws);
    flt_free(ws->base);
    *ws = (flt_ws){0};
}
