// SPDX-License-Identifier: MIT
// Weight files: what is written comes back, either precision is read, sizes come from shapes, bad files get a sentence.
#include "opt_support.h"

#include <unistd.h>

static char folder[64], path[96];

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/flt_weights_XXXXXX");
    cr_assert_neq(mkdtemp(folder), NULL);
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
}

static void remove_folder(void) {
    unlink(path);
    cr_assert_eq(rmdir(folder), 0, "files were left behind in %s", folder);
    cr_assert_eq(flt_live_blocks(), 0u);
}

TestSuite(opt_weights, .init = make_folder, .fini = remove_folder);

static flt_err load(const char *name, const char *set, flt_weights *w) {
    const flt_optimizer_kind *kind = NULL;
    flt_params *p = NULL;
    OPT_OK(flt_optimizer_find(name, &kind));
    OPT_OK(flt_params_create(name, kind->kind.params, &p));
    OPT_OK(flt_params_parse(p, set));
    const flt_err err = flt_weights_load(kind, p, path, 0, w);
    flt_params_destroy(p);
    return err;
}

// ---- files with one thing wrong

typedef struct fault {
    const char *drop;    // a tensor that is left out
    const char *extra;   // one that is added, [2]
    const char *reshape; // one written with its axes reversed
    const char *poison;  // one whose element 1 becomes `value`
    double value;
    const char *key, *text; // metadata
} fault;

static void write_file(const flt_weights *w, flt_dtype dtype, const fault *f) {
    static const double two[2] = {1, 2};
    flt_tensor_writer *file = NULL;
    double *wide = NULL;
    float *narrow = NULL;
    OPT_OK(flt_tensor_writer_create(&file));
    OPT_OK(flt_alloc(w->layout.total, sizeof *wide, &wide));
    OPT_OK(flt_alloc(w->layout.total, sizeof *narrow, &narrow));
    for (size_t i = 0; i < w->layout.n; i++) {
        const flt_tensor_spec *t = &w->layout.tensor[i];
        size_t dim[FLTX_MAX_RANK];
        if (f->drop != NULL && strcmp(f->drop, t->name) == 0) continue;
        for (size_t k = 0; k < t->count; k++) wide[t->offset + k] = (double)w->theta[t->offset + k];
        if (f->poison != NULL && strcmp(f->poison, t->name) == 0) wide[t->offset + 1] = f->value;
        for (size_t k = 0; k < t->count; k++) narrow[t->offset + k] = (float)wide[t->offset + k];
        const bool reversed = f->reshape != NULL && strcmp(f->reshape, t->name) == 0;
        for (size_t k = 0; k < t->rank; k++) dim[k] = t->dim[reversed ? t->rank - 1 - k : k];
        const void *data = dtype == FLTX_F64 ? (const void *)(wide + t->offset) : (const void *)(narrow + t->offset);
        OPT_OK(flt_tensor_writer_add(file, t->name, dtype, t->rank, dim, data));
    }
    if (f->extra != NULL) OPT_OK(flt_tensor_writer_add(file, f->extra, FLTX_F64, 1, (size_t[]){2}, two));
    if (f->key != NULL) OPT_OK(flt_tensor_writer_meta(file, f->key, f->text));
    OPT_OK(flt_tensor_writer_save(file, path));
    flt_tensor_writer_destroy(file);
    flt_free(wide);
    flt_free(narrow);
}

static const struct {
    fault f;
    flt_err err;
    const char *says;
} faults[] = {
    {{.drop = "wq"}, FLTE_FORMAT, "wq"},
    {{.drop = "wk"}, FLTE_FORMAT, "wk"},
    {{.drop = "rho"}, FLTE_FORMAT, "rho"},
    {{.drop = "layers.0.b"}, FLTE_FORMAT, "layers.0.b"},
    {{.drop = "layers.0.w"}, FLTE_FORMAT, "layers.0.w"},
    {{.drop = "layers.2.b"}, FLTE_FORMAT, "layers.2.b"},
    {{.extra = "gamma"}, FLTE_FORMAT, "gamma"},
    {{.extra = "layers.3.w"}, FLTE_FORMAT, "layers.3.b"},
    {{.reshape = "wq"}, FLTE_SHAPE, "wk"}, // reads as other sizes, which wk does not have
    {{.reshape = "wk"}, FLTE_SHAPE, "wk"},
    {{.reshape = "omega"}, FLTE_SHAPE, "omega"},
    {{.reshape = "layers.0.w"}, FLTE_SHAPE, "layers.0.w"},
    {{.poison = "wv", .value = NAN}, FLTE_NUMERIC, "wv"},
    {{.poison = "omega", .value = INFINITY}, FLTE_NUMERIC, "omega"},
    {{.key = "lr", .text = "fast"}, FLTE_USAGE, "lr"},
    {{.key = "lr", .text = "-1"}, FLTE_RANGE, "lr"},
    {{.key = "t_ref", .text = "0"}, FLTE_RANGE, "t_ref"},
    {{.key = "optimizer", .text = "celo2"}, FLTE_FORMAT, "celo2"},
};

Test(opt_weights, faults_get_a_sentence) {
    flt_weights good = opt_weights("flt", "heads=2,hidden=5x6");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        flt_weights w;
        write_file(&good, FLTX_F64, &faults[i].f);
        const size_t live = flt_live_blocks();
        const flt_err err = load("flt", "", &w);
        cr_assert_eq(err, faults[i].err, "case %zu (%s): %s: %s", i, faults[i].says, flt_err_name(err), flt_error());
        cr_assert_neq(strstr(flt_error(), faults[i].says), NULL, "case %zu (%s): %s", i, faults[i].says, flt_error());
        cr_assert(w.theta == NULL && w.params == NULL && w.layout.n == 0, "case %zu", i);
        cr_assert_eq(flt_live_blocks(), live, "case %zu leaks", i);
    }
    flt_weights_free(&good);
}

Test(opt_weights, values_beyond_single_precision) {
    flt_weights good = opt_weights("flt", ""), w;
    write_file(&good, FLTX_F64, &(fault){.poison = "rho", .value = 1e200});
    const flt_err err = load("flt", "", &w);
    cr_assert_eq(err, FLTX_EPS > 1e-10 ? FLTE_NUMERIC : FLTE_OK, "%s", flt_error());
    flt_weights_free(&w);
    flt_weights_free(&good);
}

Test(opt_weights, files_and_kinds) {
    flt_weights w;
    cr_assert_eq(load("flt", "", &w), FLTE_IO);
    cr_assert_neq(strstr(flt_error(), path), NULL, "%s", flt_error());
    cr_assert_eq(load("adam", "", &w), FLTE_UNSUPPORTED);
    w = opt_weights("adam", "lr=0.5");
    cr_assert(w.theta == NULL && w.layout.n == 0);
    cr_assert_eq(flt_params_real(w.params, "lr"), 0.5);
    cr_assert_eq(flt_weights_save(&w, path), FLTE_UNSUPPORTED);
    flt_weights_free(&w);
    flt_weights_free(&w); // twice is fine
}

// ---- files that are right

static void same_weights(const char *label, const flt_weights *a, const flt_weights *b) {
    cr_assert_eq(a->layout.n, b->layout.n, "%s", label);
    cr_assert_eq(a->layout.total, b->layout.total, "%s", label);
    for (size_t i = 0; i < a->layout.n; i++) cr_assert_str_eq(a->layout.tensor[i].name, b->layout.tensor[i].name, "%s", label);
    for (size_t i = 0; i < a->layout.total; i++)
        cr_assert_eq((float)a->theta[i], (float)b->theta[i], "%s: element %zu", label, i);
}

Test(opt_weights, round_trip) {
    static const char *const sets[] = {"", "heads=3,m=5,dk=2,dv=7,r=3,hidden=4x9x2,lr=0.02,t_ref=321", "layers=0",
                                       "lr_time=on,layers=4"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        flt_weights a = opt_weights("flt", sets[i]), b;
        OPT_OK(flt_weights_save(&a, path));
        cr_assert_eq(load("flt", "heads=9,hidden=3x3x3x3", &b), FLTE_OK, "%s: %s", sets[i], flt_error());
        same_weights(sets[i], &a, &b);
        cr_assert_eq(memcmp(a.theta, b.theta, a.layout.total * sizeof *a.theta), 0, "%s", sets[i]);
        static const char *const sizes[] = {"heads", "m", "dk", "dv", "r", "layers"};
        for (size_t k = 0; k < 6 && i != 1; k++)
            cr_assert_eq(flt_params_int(a.params, sizes[k]), flt_params_int(b.params, sizes[k]), "%s: %s", sets[i], sizes[k]);
        cr_assert_eq(flt_params_real(a.params, "lr"), flt_params_real(b.params, "lr"), "%s", sets[i]);
        cr_assert_eq(flt_params_real(a.params, "t_ref"), flt_params_real(b.params, "t_ref"), "%s", sets[i]);
        cr_assert_eq(flt_params_bool(a.params, "lr_time"), flt_params_bool(b.params, "lr_time"), "%s", sets[i]);
        flt_weights_free(&a);
        flt_weights_free(&b);
    }
}

Test(opt_weights, both_precisions) {
    flt_weights a = opt_weights("flt", "hidden=6,layers=1"), b;
    for (int k = 0; k < 2; k++) {
        write_file(&a, k == 0 ? FLTX_F32 : FLTX_F64, &(fault){0});
        OPT_OK(load("flt", "", &b));
        same_weights(k == 0 ? "F32" : "F64", &a, &b);
        flt_weights_free(&b);
    }
    flt_weights_free(&a);
}

// What the caller sets wins over the file's metadata, which win over the defaults; sizes always come from the shapes.
Test(opt_weights, who_decides) {
    flt_weights a = opt_weights("flt", "lr=0.02,m=6,lr_time=on"), b;
    OPT_OK(flt_weights_save(&a, path));
    OPT_OK(load("flt", "", &b));
    cr_assert_eq(flt_params_real(b.params, "lr"), 0.02);
    cr_assert_eq(flt_params_real(b.params, "t_ref"), 1000.0);
    flt_weights_free(&b);
    OPT_OK(load("flt", "lr=0.001,m=32,lr_time=off", &b));
    cr_assert_eq(flt_params_real(b.params, "lr"), 0.001);
    cr_assert_eq(flt_params_int(b.params, "m"), 6);
    cr_assert(flt_params_bool(b.params, "lr_time"));
    flt_weights_free(&b);
    write_file(&a, FLTX_F32, &(fault){.drop = "log_lr"});
    OPT_OK(load("flt", "lr_time=on", &b));
    cr_assert_not(flt_params_bool(b.params, "lr_time"));
    flt_weights_free(&b);
    flt_weights_free(&a);
}

Test(opt_weights, seeds) {
    const flt_optimizer_kind *kind = NULL;
    flt_weights a, b, c;
    OPT_OK(flt_optimizer_find("flt", &kind));
    OPT_OK(flt_weights_load(kind, NULL, NULL, 1, &a));
    OPT_OK(flt_weights_load(kind, NULL, NULL, 1, &b));
    OPT_OK(flt_weights_load(kind, NULL, NULL, 2, &c));
    cr_assert_eq(memcmp(a.theta, b.theta, a.layout.total * sizeof *a.theta), 0);
    cr_assert_neq(memcmp(a.theta, c.theta, a.layout.total * sizeof *a.theta), 0);
    flt_weights_free(&a);
    flt_weights_free(&b);
    flt_weights_free(&c);
}

Test(opt_weights, allocation_failures) {
    flt_weights a = opt_weights("flt", ""), w;
    const flt_optimizer_kind *kind = a.kind;
    OPT_OK(flt_weights_save(&a, path));
    for (int what = 0; what < 3; what++) {
        flt_err err = FLTE_NOMEM;
        for (long n = 0; err != FLTE_OK; n++) {
            const size_t live = flt_live_blocks();
            flt_fail_alloc_after(n);
            err = what == 0   ? flt_weights_load(kind, a.params, path, 0, &w)
                  : what == 1 ? flt_weights_load(kind, NULL, NULL, 0, &w)
                              : flt_weights_save(&a, path);
            flt_fail_alloc_after(-1);
            if (err == FLTE_OK && what < 2) flt_weights_free(&w);
            cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "%d, %ld: %s", what, n, flt_error());
            cr_assert_eq(flt_live_blocks(), live, "%d: allocation %ld leaks", what, n);
            cr_assert_lt(n, 1000, "%d never succeeds", what);
        }
    }
    flt_weights_free(&a);
}
