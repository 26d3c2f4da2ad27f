// SPDX-License-Identifier: MIT
// Parameters: what each type accepts and refuses, the sentences, and that failures change nothing and leak nothing.
#include "flt/memory.h"
#include "flt/params.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const flt_param_spec specs[] = {
    {"lr", FLTX_REAL, "1e-3", 0.0, 10.0, NULL, "learning rate"},
    {"width", FLTX_INT, "32", 1, 4096, NULL, "hidden units"},
    {"batch", FLTX_INT, "64", 1, INFINITY, NULL, "examples"},
    {"augment", FLTX_BOOL, "true", 0, 0, NULL, "shift and noise"},
    {"activation", FLTX_ENUM, "relu", 0, 0, "relu|gelu|tanh", "of the hidden layers"},
    {"path", FLTX_TEXT, NULL, 0, 0, NULL, "file to read"},
    {"offset", FLTX_INT, "-2", -INFINITY, 5, NULL, "lag"},
    {.name = NULL},
};

static flt_params *make(void) {
    flt_params *p = NULL;
    cr_assert_eq(flt_params_create("task t", specs, &p), FLTE_OK, "%s", flt_error());
    return p;
}

Test(base_params, defaults) {
    flt_params *p = make();
    cr_assert_eq(flt_params_real(p, "lr"), 1e-3);
    cr_assert_eq(flt_params_size(p, "width"), 32u);
    cr_assert_eq(flt_params_real(p, "width"), 32.0);
    cr_assert_eq(flt_params_int(p, "offset"), -2);
    cr_assert(flt_params_bool(p, "augment"));
    cr_assert_str_eq(flt_params_text(p, "activation"), "relu");
    cr_assert_str_eq(flt_params_text(p, "lr"), "1e-3");
    cr_assert_not(flt_params_has(p, "path"));
    cr_assert_str_eq(flt_params_text(p, "path"), "");
    cr_assert_not(flt_params_has(p, "nowhere"));
    cr_assert_not(flt_params_is_set(p, "lr"));
    cr_assert_not(flt_params_is_set(p, "nowhere"));
    cr_assert_eq(flt_params_set(p, "lr", "10.5"), FLTE_RANGE);
    cr_assert_not(flt_params_is_set(p, "lr"));
    cr_assert_eq(flt_params_specs(p), specs);
    flt_params_destroy(p);
    flt_params_destroy(NULL);
    cr_assert_eq(flt_live_blocks(), 0u);
}

typedef struct trial {
    const char *name, *text;
    flt_err err;
    const char *says; // part of the sentence
} trial;

static const trial trials[] = {
    {"lr", "0.5", FLTE_OK, NULL},
    {"lr", "10", FLTE_OK, NULL},
    {"lr", "0x1p-3", FLTE_OK, NULL},
    {"lr", "1e-400", FLTE_OK, NULL},
    {"lr", "10.000001", FLTE_RANGE, "task t: lr: 10.000001 is out of range; 0 .. 10 is allowed"},
    {"lr", "-1e-9", FLTE_RANGE, "0 .. 10"},
    {"lr", "1e999", FLTE_RANGE, "not finite"},
    {"lr", "inf", FLTE_RANGE, "not finite"},
    {"lr", "nan", FLTE_USAGE, "'nan' is not a number; 0 .. 10 is allowed"},
    {"lr", "", FLTE_USAGE, "not a number"},
    {"lr", " 1", FLTE_USAGE, "not a number"},
    {"lr", "1 ", FLTE_USAGE, "not a number"},
    {"lr", "1,5", FLTE_USAGE, "not a number"},
    {"width", "1", FLTE_OK, NULL},
    {"width", "4096", FLTE_OK, NULL},
    {"width", "0", FLTE_RANGE, "1 .. 4096"},
    {"width", "4097", FLTE_RANGE, "1 .. 4096"},
    {"width", "3.0", FLTE_USAGE, "'3.0' is not a whole number; 1 .. 4096 is allowed"},
    {"width", "0x10", FLTE_USAGE, "not a whole number"},
    {"width", "99999999999999999999", FLTE_RANGE, "64 bits"},
    {"batch", "0", FLTE_RANGE, "at least 1 is allowed"},
    {"batch", "9223372036854775807", FLTE_OK, NULL},
    {"offset", "6", FLTE_RANGE, "at most 5 is allowed"},
    {"offset", "-9223372036854775808", FLTE_OK, NULL},
    {"augment", "off", FLTE_OK, NULL},
    {"augment", "maybe", FLTE_USAGE, "true or false is allowed"},
    {"augment", "", FLTE_USAGE, "true or false is allowed"},
    {"activation", "tanh", FLTE_OK, NULL},
    {"activation", "gel", FLTE_RANGE, "relu|gelu|tanh is allowed"},
    {"activation", "relu|gelu", FLTE_RANGE, "relu|gelu|tanh is allowed"},
    {"activation", "", FLTE_RANGE, "relu|gelu|tanh is allowed"},
    {"path", "", FLTE_OK, NULL},
    {"path", "a=b c", FLTE_OK, NULL},
    {"widht", "3", FLTE_NAME, "did you mean 'width'? valid names: lr, width, batch"},
    {"completely_else", "3", FLTE_NAME, "'completely_else'; valid names"},
    {"", "3", FLTE_NAME, "valid names"},
};

Test(base_params, accepts_and_refuses) {
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        const trial *t = &trials[i];
        flt_params *p = make();
        const flt_err err = flt_params_set(p, t->name, t->text);
        cr_assert_eq(err, t->err, "%s=%s: %s, %s", t->name, t->text, flt_err_name(err), flt_error());
        if (err == FLTE_OK) {
            cr_assert_str_eq(flt_params_text(p, t->name), t->text, "%s=%s", t->name, t->text);
        } else {
            cr_assert_neq(strstr(flt_error(), t->says), NULL, "%s=%s: %s", t->name, t->text, flt_error());
            cr_assert_eq(flt_params_real(p, "lr"), 1e-3, "%s=%s changed lr", t->name, t->text);
            cr_assert_eq(flt_params_int(p, "width"), 32, "%s=%s changed width", t->name, t->text);
        }
        flt_params_destroy(p);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(base_params, truth_words) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    flt_params *p = make();
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(flt_params_set(p, "augment", no[i]), FLTE_OK);
        cr_assert_not(flt_params_bool(p, "augment"), "%s", no[i]);
        cr_assert_eq(flt_params_set(p, "augment", yes[i]), FLTE_OK);
        cr_assert(flt_params_bool(p, "augment"), "%s", yes[i]);
    }
    flt_params_destroy(p);
}

Test(base_params, parse_lists) {
    flt_params *p = make();
    cr_assert_eq(flt_params_parse(p, ""), FLTE_OK);
    cr_assert_eq(flt_params_parse(p, "width=7,lr=0.25,path=x=y,activation=gelu"), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_params_int(p, "width"), 7);
    cr_assert_eq(flt_params_real(p, "lr"), 0.25);
    cr_assert_str_eq(flt_params_text(p, "path"), "x=y");
    static const char *const bad[] = {"width", "width=7,", ",width=7", "=7", "width=7,,lr=1", ","};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(flt_params_parse(p, bad[i]), FLTE_USAGE, "'%s': %s", bad[i], flt_error());
    cr_assert_eq(flt_params_parse(p, "width=9,nope=1"), FLTE_NAME);
    flt_params_destroy(p);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(base_params, clone_is_independent) {
    flt_params *p = make(), *q = NULL;
    cr_assert_eq(flt_params_set(p, "width", "5"), FLTE_OK);
    cr_assert_eq(flt_params_clone(p, &q), FLTE_OK);
    cr_assert_eq(flt_params_set(p, "width", "6"), FLTE_OK);
    flt_params_destroy(p);
    cr_assert_eq(flt_params_int(q, "width"), 5);
    cr_assert(flt_params_is_set(q, "width"));
    cr_assert_not(flt_params_is_set(q, "lr"));
    cr_assert_not(flt_params_has(q, "path"));
    cr_assert_eq(flt_params_set(q, "nope", "1"), FLTE_NAME);
    cr_assert_neq(strstr(flt_error(), "task t: "), NULL, "%s", flt_error());
    flt_params_destroy(q);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(base_params, no_table) {
    flt_params *p = NULL;
    cr_assert_eq(flt_params_create("task bare", NULL, &p), FLTE_OK);
    cr_assert_eq(flt_params_parse(p, ""), FLTE_OK);
    cr_assert_eq(flt_params_set(p, "x", "1"), FLTE_NAME);
    cr_assert_neq(strstr(flt_error(), "it takes none"), NULL, "%s", flt_error());
    flt_params_destroy(p);
}

Test(base_params, bad_default_is_reported) {
    static const flt_param_spec wrong[] = {
        {"a", FLTX_INT, "1", 0, 2, NULL, ""},
        {"b", FLTX_INT, "5", 0, 2, NULL, ""},
        {.name = NULL},
    };
    flt_params *p = NULL;
    cr_assert_eq(flt_params_create("x", wrong, &p), FLTE_RANGE);
    cr_assert_eq(p, NULL);
    cr_assert_neq(strstr(flt_error(), "this is its default"), NULL, "%s", flt_error());
    cr_assert_eq(flt_live_blocks(), 0u);
}

// Each request for memory fails in turn, until everything succeeds.
Test(base_params, allocation_failures) {
    long n = 0;
    for (flt_err err = FLTE_NOMEM; err != FLTE_OK; n++) {
        flt_params *p = NULL, *q = NULL;
        flt_fail_alloc_after(n);
        err = flt_params_create("task t", specs, &p);
        if (err == FLTE_OK) err = flt_params_parse(p, "width=7,path=x");
        if (err == FLTE_OK) err = flt_params_clone(p, &q);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "request %ld: %s", n, flt_error());
        if (err == FLTE_OK) cr_assert_eq(flt_params_int(q, "width"), 7);
        flt_params_destroy(p);
        flt_params_destroy(q);
        cr_assert_eq(flt_live_blocks(), 0u, "request %ld leaks", n);
    }
    cr_assert_gt(n, 12, "only %ld requests were tried", n);
}
