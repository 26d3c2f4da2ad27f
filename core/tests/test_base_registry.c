// SPDX-License-Identifier: MIT
// Looking up kinds, the nearest names, the hash; layouts of flat parameter vectors.
#include "flt/attention.h"
#include "flt/memory.h"
#include "flt/objective.h"
#include "flt/rpe.h"

#include <criterion/criterion.h>
#include <string.h>

static const flt_param_spec none[] = {{.name = NULL}};
static const flt_param_spec some[] = {{"k", FLTX_INT, "3", 0, 9, NULL, ""}, {.name = NULL}};
static const flt_kind adam = {.name = "adam"}, gaussian = {.name = "gaussian_mixture"}, window = {.name = "window"};
static const flt_kind with_none = {.name = "adam", .params = none}, with_some = {.name = "adam", .params = some};
static const flt_kind *const kinds[] = {&adam, &gaussian, &window, NULL};
static const flt_registry registry = {"test", "test kind", kinds, NULL};

Test(base_registry, find) {
    const flt_kind *k = &adam;
    cr_assert_eq(flt_registry_count(&registry), 3u);
    cr_assert_eq(flt_registry_find(&registry, "window", &k), FLTE_OK);
    cr_assert_eq(k, &window);
    cr_assert_eq(flt_registry_find(&registry, "windwo", &k), FLTE_NAME);
    cr_assert_eq(k, NULL);
    cr_assert_str_eq(flt_error(),
                     "test kind: 'windwo' is unknown; did you mean 'window'? valid names: adam, gaussian_mixture, window");
    cr_assert_eq(flt_registry_find(&registry, "zzzzzzzz", &k), FLTE_NAME);
    cr_assert_str_eq(flt_error(), "test kind: 'zzzzzzzz' is unknown; valid names: adam, gaussian_mixture, window");
    cr_assert_eq(flt_registry_find(&registry, "", &k), FLTE_NAME);
    cr_assert_eq(flt_registry_find(&registry, NULL, &k), FLTE_NAME);
    cr_assert_str_eq(flt_error(), "test kind: '(NULL)' is unknown; valid names: adam, gaussian_mixture, window");
    flt_attention *plan = NULL;
    const flt_attention_desc nothing = {.B = 1, .H = 1, .N = 1, .d = 1, .dv = 1};
    cr_assert_eq(flt_attention_create(&nothing, &plan), FLTE_NAME);
}

Test(base_registry, nearest) {
    static const char *const names[] = {"adam", "sgd", "momentum", "gaussian_mixture", "lr", NULL};
    static const char *const pairs[][2] = {
        {"adamw", "adam"},
        {"adma", "adam"},
        {"ADAM", "adam"},
        {"Sgd", "sgd"},
        {"mom", "momentum"},
        {"momentm", "momentum"},
        {"gaussian", "gaussian_mixture"},
        {"gausian_mixture", "gaussian_mixture"},
        {"rl", NULL},
        {"walrus", NULL},
        {"xyzzy", NULL},
        {"", NULL},
        {"l", "lr"},
        {"transformer", NULL},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *near = flt_nearest(pairs[i][0], names), *want = pairs[i][1];
        const bool same = want == NULL ? near == NULL : near != NULL && strcmp(near, want) == 0;
        cr_assert(same, "'%s' is near '%s', not '%s'", pairs[i][0], want == NULL ? "-" : want, near == NULL ? "-" : near);
    }
    char long_name[500];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    flt_nearest(long_name, names);
}

Test(base_registry, hash_sees_names_and_defaults) {
    static const flt_kind *const a[] = {&with_none, NULL}, *const b[] = {&with_some, NULL}, *const c[] = {&window, NULL};
    const flt_registry r[] = {
        {"f", "n", a, NULL}, {"f", "n", b, NULL}, {"f", "n", c, NULL}, {"g", "n", a, NULL}, {"f", "other noun", a, NULL},
    };
    uint64_t h[5];
    for (int i = 0; i < 5; i++) {
        const flt_registry *one = &r[i];
        h[i] = flt_registry_hash(&one, 1);
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) cr_assert_neq(h[i], h[j], "registries %d and %d", i, j);
    cr_assert_eq(h[4], h[0]);
    const flt_registry *const both[] = {&r[0], &r[2]}, *const swapped[] = {&r[2], &r[0]};
    cr_assert_neq(flt_registry_hash(both, 2), flt_registry_hash(swapped, 2));
}

// Every default of every kind of the core is a value that its own table accepts.
Test(base_registry, defaults_of_all_kinds_parse) {
    const flt_registry *const all[] = {flt_attention_registry(), flt_rpe_registry()};
    for (size_t r = 0; r < sizeof all / sizeof *all; r++) {
        for (size_t i = 0; all[r]->kinds[i] != NULL; i++) {
            flt_params *p = NULL;
            const flt_kind *k = all[r]->kinds[i];
            cr_assert_eq(flt_params_create(k->name, k->params, &p), FLTE_OK, "%s: %s", k->name, flt_error());
            flt_params_destroy(p);
        }
    }
}

// ---- layouts

Test(base_registry, layouts) {
    flt_layout l = {0}, copy;
    cr_assert_eq(flt_layout_add(&l, "w", 2, (size_t[]){3, 4}), FLTE_OK);
    cr_assert_eq(flt_layout_add(&l, "b", 1, (size_t[]){4}), FLTE_OK);
    cr_assert_eq(flt_layout_add(&l, "scale", 0, NULL), FLTE_OK);
    cr_assert_eq(l.total, 17u);
    cr_assert_eq(flt_layout_find(&l, "b")->offset, 12u);
    cr_assert_eq(flt_layout_find(&l, "scale")->count, 1u);
    cr_assert_eq(flt_layout_find(&l, "x"), NULL);
    cr_assert_eq(flt_layout_copy(&l, &copy), FLTE_OK);
    cr_assert_eq(flt_layout_add(&l, "b", 0, NULL), FLTE_USAGE);
    cr_assert(strstr(flt_error(), "the name b is given twice") != NULL, "%s", flt_error());
    cr_assert_eq(flt_layout_add(&l, "deep", 9, (size_t[9]){0}), FLTE_RANGE);
    cr_assert_eq(flt_layout_add(&l, "big", 2, (size_t[]){SIZE_MAX, 2}), FLTE_RANGE);
    cr_assert_eq(flt_layout_add(&l, "huge", 1, (size_t[]){SIZE_MAX}), FLTE_RANGE);
    cr_assert_eq(l.n, 3u);
    cr_assert_eq(l.total, 17u);
    flt_layout_free(&l);
    cr_assert_eq(copy.total, 17u);
    cr_assert_str_eq(copy.tensor[2].name, "scale");
    flt_layout_free(&copy);
    flt_layout_free(&copy);
    flt_objective_destroy(NULL);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(base_registry, layout_allocation_failures) {
    long n = 0;
    for (flt_err err = FLTE_NOMEM; err != FLTE_OK; n++) {
        flt_layout l = {0}, copy = {0};
        flt_fail_alloc_after(n);
        err = flt_layout_add(&l, "w", 2, (size_t[]){3, 4});
        if (err == FLTE_OK) err = flt_layout_add(&l, "b", 1, (size_t[]){4});
        if (err == FLTE_OK) err = flt_layout_copy(&l, &copy);
        flt_fail_alloc_after(-1);
        flt_layout_free(&l);
        flt_layout_free(&copy);
        cr_assert_eq(flt_live_blocks(), 0u, "request %ld leaks", n);
    }
    cr_assert_eq(n, 4);
}
