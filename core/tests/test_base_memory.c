// SPDX-License-Identifier: MIT
// Blocks: alignment, zeroing, overflow, counting, injected failures. Workspaces: two passes, redzones.
#include "flt/memory.h"

#include <criterion/criterion.h>
#include <string.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

// ---- blocks

Test(base_memory, blocks_are_aligned_and_zero) {
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *p = NULL;
        cr_assert_eq(flt_alloc(n, 1, &p), FLTE_OK);
        cr_assert_neq(p, NULL);
        cr_assert_eq((uintptr_t)p % FLTX_ALIGN, 0u, "n = %zu", n);
        for (size_t i = 0; i < n; i++) cr_assert_eq(p[i], 0, "n = %zu, byte %zu", n, i);
        memset(p, 0xff, n);
        cr_assert_eq(flt_live_blocks(), 1u);
        flt_free(p);
    }
    flt_free(NULL);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(base_memory, sizes_that_overflow) {
    static const size_t bad[][2] = {
        {SIZE_MAX, 2}, {SIZE_MAX / 8 + 1, 8}, {PTRDIFF_MAX, 1}, {SIZE_MAX, 1}, {(size_t)1 << 32, (size_t)1 << 32},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char stays = 0, *p = &stays;
        cr_assert_eq(flt_alloc(bad[i][0], bad[i][1], &p), FLTE_NOMEM, "case %zu", i);
        cr_assert_eq(p, NULL, "case %zu", i);
        cr_assert_neq(strstr(flt_error(), "address space"), NULL, "case %zu: %s", i, flt_error());
    }
    size_t product = 0;
    cr_assert(flt_mul_ok(3, 4, &product));
    cr_assert_eq(product, 12u);
    cr_assert_not(flt_mul_ok(SIZE_MAX, 2, &product));
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(base_memory, injected_failures) {
    for (long n = 0; n < 5; n++) {
        void *p[8] = {NULL};
        flt_fail_alloc_after(n);
        for (long i = 0; i < 8; i++)
            cr_assert_eq(flt_alloc(1, 1, &p[i]), i < n ? FLTE_OK : FLTE_NOMEM, "after %ld, request %ld", n, i);
        flt_fail_alloc_after(-1);
        cr_assert_eq(flt_live_blocks(), (size_t)n);
        for (long i = 0; i < 8; i++) flt_free(p[i]);
    }
    const size_t before = flt_alloc_count();
    char *text = NULL;
    cr_assert_eq(flt_strdup("some text", &text), FLTE_OK);
    cr_assert_str_eq(text, "some text");
    cr_assert_eq(flt_alloc_count(), before + 1);
    flt_free(text);
}

// ---- workspaces

typedef struct shapes {
    size_t a, b, c;
    float *fa;
    double *db;
    unsigned char *cc;
} shapes;

static void bind(void *self, flt_ws *ws) {
    shapes *s = self;
    s->fa = flt_ws_take(ws, s->a, sizeof *s->fa);
    s->db = flt_ws_take(ws, s->b, sizeof *s->db);
    s->cc = flt_ws_take(ws, s->c, 1);
}

Test(base_memory, workspaces) {
    for (size_t a = 0; a < 40; a += 3) {
        for (size_t c = 0; c < 100; c += 9) {
            shapes s = {.a = a, .b = 5, .c = c};
            flt_ws ws;
            cr_assert_eq(flt_ws_create(bind, &s, &ws), FLTE_OK);
            cr_assert_eq((uintptr_t)s.fa % FLTX_ALIGN + (uintptr_t)s.db % FLTX_ALIGN + (uintptr_t)s.cc % FLTX_ALIGN, 0u);
            memset(s.fa, 1, a * sizeof *s.fa);
            memset(s.db, 2, 5 * sizeof *s.db);
            memset(s.cc, 3, c);
            for (size_t i = 0; i < a * sizeof *s.fa; i++) cr_assert_eq(((unsigned char *)s.fa)[i], 1);
            for (size_t i = 0; i < 5 * sizeof *s.db; i++) cr_assert_eq(((unsigned char *)s.db)[i], 2);
            cr_assert_eq(ws.used, ws.size);
            flt_ws_destroy(&ws);
            cr_assert_eq(ws.base, NULL);
        }
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

#if defined(__SANITIZE_ADDRESS__)
Test(base_memory, redzones) {
    for (size_t a = 0; a < 40; a++) {
        shapes s = {.a = a, .b = 3, .c = a};
        flt_ws ws;
        cr_assert_eq(flt_ws_create(bind, &s, &ws), FLTE_OK);
        if (a > 0) cr_assert_not(__asan_address_is_poisoned(&s.cc[a - 1]), "a = %zu", a);
        cr_assert(__asan_address_is_poisoned(&s.fa[a]), "a = %zu: one element behind the first slice", a);
        cr_assert(__asan_address_is_poisoned(&s.db[3]), "a = %zu: one element behind the second slice", a);
        cr_assert(__asan_address_is_poisoned(&s.cc[a]), "a = %zu: one byte behind the last slice", a);
        flt_ws_destroy(&ws);
    }
}
#endif

Test(base_memory, workspace_failures) {
    shapes s = {.a = SIZE_MAX / 2, .b = 1, .c = 1};
    flt_ws ws;
    cr_assert_eq(flt_ws_create(bind, &s, &ws), FLTE_NOMEM);
    s.a = PTRDIFF_MAX / 8;
    s.b = PTRDIFF_MAX / 16;
    s.c = SIZE_MAX / 4;
    cr_assert_eq(flt_ws_create(bind, &s, &ws), FLTE_NOMEM);
    s = (shapes){.a = 1, .b = 1, .c = 1};
    flt_fail_alloc_after(0);
    cr_assert_eq(flt_ws_create(bind, &s, &ws), FLTE_NOMEM);
    flt_fail_alloc_after(-1);
    flt_ws_destroy(&ws); // takes what a failed create left
    cr_assert_eq(flt_live_blocks(), 0u);
}

// A block that is too small is noticed, not overrun.
Test(base_memory, workspace_over_a_small_block) {
    unsigned char *block = NULL;
    cr_assert_eq(flt_alloc(128, 1, &block), FLTE_OK);
    flt_ws ws = flt_ws_over(block, 128);
    cr_assert_eq(flt_ws_take(&ws, 1000, 1), NULL);
    cr_assert(ws.overflow);
    flt_ws_release(&ws);
    flt_free(block);
}

// Takes more in its second pass than it measured.
static void fickle(void *self, flt_ws *ws) {
    int *pass = self;
    flt_ws_take(ws, *pass == 0 ? 10 : 1000, 1);
    ++*pass;
}

Test(base_memory, workspace_passes_must_agree) {
    int pass = 0;
    flt_ws ws;
    cr_assert_eq(flt_ws_create(fickle, &pass, &ws), FLTE_INTERNAL);
    cr_assert_eq(flt_live_blocks(), 0u);
}
