// SPDX-License-Identifier: MIT
// Counted, aligned, overflow-checked memory and two-pass workspaces.
//
// The only functions of the project that call the system allocator. Three lifetimes: object (flt_alloc in create, flt_free in
// destroy), workspace (cut from one block by the function that also measures it), borrowed (the caller's, never kept).
#ifndef FLTX_MEMORY_H
#define FLTX_MEMORY_H

#include "flt/error.h"

FLTX_BEGIN_DECLS

enum { FLTX_ALIGN = 64 };

// count * size zeroed bytes, 64-byte aligned; a block also for none. *out is NULL on failure. Errors: FLTE_NOMEM, also when the
// product overflows.
flt_err flt_alloc(size_t count, size_t size, void *out /* T ** */);
void flt_free(void *p);                           // what flt_alloc gave, never what malloc did; NULL is fine
flt_err flt_strdup(const char *text, char **out); // freed with flt_free
bool flt_mul_ok(size_t a, size_t b, size_t *out); // false on overflow

size_t flt_live_blocks(void); // blocks allocated and not yet freed, over all threads
size_t flt_live_bytes(void);  // their sizes, as the system rounded them
size_t flt_alloc_count(void); // number of calls of flt_alloc so far (conformance: forward makes none)
// Largest memory that the process has held, in bytes: since flt_peak_forget where the system can forget (Linux), else ever.
double flt_peak_bytes(void);
void flt_peak_forget(void);
void flt_fail_alloc_after(long n); // testing: the n-th next request fails (0 = the next); negative: never

// A workspace is bound by a function that takes `flt_ws *` and cuts its slices in a fixed order. Run once over a measuring
// workspace it gives the size, run again over the block it gives the slices: both passes are the same code.
typedef struct flt_ws {
    unsigned char *base; // NULL while measuring
    size_t used;         // bytes so far, padding and redzones included
    size_t size;         // bytes of the block; 0 while measuring
    bool overflow;       // a product did not fit in size_t, or the block was too small
} flt_ws;

flt_ws flt_ws_measure(void);
flt_ws flt_ws_over(void *block, size_t size); // block: 64-byte aligned
// NULL while measuring, and on overflow; 64-byte aligned; redzone behind it under ASan.
void *flt_ws_take(flt_ws *ws, size_t count, size_t size);
void flt_ws_release(flt_ws *ws); // lifts the redzones of the block before it is freed

// Measures with `bind(self, ws)`, allocates, binds again. The block is freed with flt_ws_destroy. Errors: FLTE_NOMEM;
// FLTE_INTERNAL when the two passes differ.
flt_err flt_ws_create(void (*bind)(void *self, flt_ws *ws), void *self, flt_ws *out);
void flt_ws_destroy(flt_ws *ws);

FLTX_END_DECLS

#endif
