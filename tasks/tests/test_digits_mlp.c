// SPDX-License-Identifier: MIT
// digits_mlp: layout, initialisation, evaluation over whole splits, and that it learns; also on an IDX folder made here.
#include "support.h"

#include <unistd.h>

Test(digits_mlp, has_the_stated_tensors) {
    static const struct {
        const char *name;
        size_t rank, dim[2], offset;
    } want[] = {{"layers.0.w", 2, {64, 32}, 0},
                {"layers.0.b", 1, {32}, 2048},
                {"layers.1.w", 2, {32, 10}, 2080},
                {"layers.1.b", 1, {10}, 2400}};
    flt_objective *o = make("digits_mlp");
    cr_assert(o->layout.n == 4 && o->layout.total == 2410, "%zu tensors, %zu parameters", o->layout.n, o->layout.total);
    for (size_t i = 0; i < 4; i++) {
        const flt_tensor_spec *t = &o->layout.tensor[i];
        cr_assert_str_eq(t->name, want[i].name);
        cr_assert(t->rank == want[i].rank && t->offset == want[i].offset, "%s", t->name);
        for (size_t k = 0; k < t->rank; k++) cr_assert_eq(t->dim[k], want[i].dim[k], "%s", t->name);
    }
    cr_assert_str_eq(o->metric, "accuracy");
    cr_assert(o->normaliser == log(10.0) && o->clip_loss == 1.5 * log(10.0) && !o->has_minimum);
    flt_objective_destroy(o);
}

Test(digits_mlp, starts_with_weights_of_variance_one_over_inputs) {
    flt_objective *o = make("digits_mlp:width=128,depth=2");
    flt_real *theta = initial(o, 5);
    for (size_t i = 0; i < o->layout.n; i++) {
        const flt_tensor_spec *t = &o->layout.tensor[i];
        const double squares = dot(t->count, theta + t->offset, theta + t->offset);
        if (t->rank == 1)
            cr_assert(squares == 0.0, "%s", t->name);
        else {
            const double ratio = squares / (double)t->count * (double)t->dim[0];
            cr_assert(fabs(ratio - 1.0) < 5 * sqrt(2.0 / (double)t->count), "%s: %.3f", t->name, ratio);
        }
    }
    free(theta);
    flt_objective_destroy(o);
}

Test(digits_mlp, draws_each_tensor_from_a_stream_of_its_own) {
    flt_objective *o = make("digits_mlp:depth=2");
    flt_real *theta = initial(o, 5);
    const flt_real *first = theta + flt_layout_find(&o->layout, "layers.0.w")->offset;
    const flt_real *second = theta + flt_layout_find(&o->layout, "layers.1.w")->offset;
    const double n = 1024, cosine = dot(1024, first, second) / (norm(1024, first) * norm(1024, second));
    cr_assert(fabs(cosine) < 5.0 / sqrt(n), "cosine %.3f", cosine);
    free(theta);
    flt_objective_destroy(o);
}

// A minibatch as large as the split holds each of its rows once: its loss is that of the evaluation.
Test(digits_mlp, evaluates_every_row_of_a_split_once) {
    static const struct {
        const char *spec;
        flt_split split;
    } cases[] = {{"digits_mlp:batch=1437,augment=false", FLTX_TRAIN},
                 {"digits_mlp:batch=180", FLTX_VALID},
                 {"digits_mlp:batch=180,depth=3,width=9", FLTX_TEST}};
    for (size_t c = 0; c < 3; c++) {
        flt_objective *o = make(cases[c].spec);
        flt_real *theta = initial(o, 5);
        double accuracy;
        const double whole = (double)o->gradient(o->self, (flt_batch){8, cases[c].split, 0}, theta, NULL);
        const double loss = evaluate(o, 1, cases[c].split, theta, &accuracy);
        cr_assert(fabs(whole - loss) <= 30 * FLTX_EPS * sqrt(1437.0) * whole, "%s: %.9g, not %.9g", cases[c].spec, loss, whole);
        cr_assert(accuracy >= 0.0 && accuracy <= 0.5, "%s: %g untrained", cases[c].spec, accuracy);
        free(theta);
        flt_objective_destroy(o);
    }
}

// ---- learning

Test(digits_mlp, learns_with_adam) {
    static const struct {
        const char *spec;
        double lr, accuracy;
    } cases[] = {{"digits_mlp:width=64", 1e-2, 0.90}, // augmented; about 0.93
                 {"digits_mlp:augment=false", 1e-2, 0.93},
                 {"digits_mlp:depth=0", 1e-2, 0.75},
                 {"digits_mlp:depth=2,activation=gelu", 5e-3, 0.85},
                 {"digits_mlp:activation=tanh", 1e-2, 0.85}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        flt_objective *o = make(cases[c].spec);
        flt_real *theta = initial(o, 5);
        double accuracy;
        adam(o, 5, 500, cases[c].lr, theta);
        const double loss = evaluate(o, 5, FLTX_VALID, theta, &accuracy);
        cr_log_info("%s: validation loss %.3f, accuracy %.3f", cases[c].spec, loss, accuracy);
        cr_assert(accuracy > cases[c].accuracy && loss < 0.8, "%s: loss %.3f, accuracy %.3f", cases[c].spec, loss, accuracy);
        free(theta);
        flt_objective_destroy(o);
    }
}

Test(digits_mlp, learns_with_plain_descent) {
    flt_objective *o = make("digits_mlp");
    const size_t n = o->layout.total;
    flt_real *theta = initial(o, 5), *g = vector(n);
    double accuracy;
    for (uint64_t t = 0; t < 1000; t++) {
        o->gradient(o->self, (flt_batch){5, FLTX_TRAIN, t}, theta, g);
        for (size_t i = 0; i < n; i++) theta[i] -= (flt_real)0.3 * g[i];
    }
    evaluate(o, 5, FLTX_TEST, theta, &accuracy);
    cr_assert(accuracy > 0.85, "%.3f", accuracy);
    free(theta);
    free(g);
    flt_objective_destroy(o);
}

// ---- an IDX folder: 4 x 6 images, each with one bright row of four, the label

enum { HEIGHT = 4, WIDTH = 6 };

static void put32(FILE *f, uint32_t x) {
    for (int i = 3; i >= 0; i--) fputc((int)(x >> (8 * i) & 0xff), f);
}

static void write_half(const char *folder, const char *prefix, uint32_t n) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, prefix);
    FILE *images = fopen(path, "wb");
    snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, prefix);
    FILE *labels = fopen(path, "wb");
    cr_assert(images != NULL && labels != NULL);
    put32(images, 0x803);
    put32(images, n);
    put32(images, HEIGHT);
    put32(images, WIDTH);
    put32(labels, 0x801);
    put32(labels, n);
    for (uint32_t i = 0; i < n; i++) {
        fputc((int)(i % HEIGHT), labels);
        for (uint32_t k = 0; k < HEIGHT * WIDTH; k++)
            fputc(k / WIDTH == i % HEIGHT ? 200 + (int)(i * 7 + k) % 56 : (int)(i * 3 + k) % 60, images);
    }
    fclose(images);
    fclose(labels);
}

static void remove_folder(const char *folder) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte"};
    char path[128];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

Test(digits_mlp, learns_from_an_idx_folder) {
    const size_t before = flt_live_blocks();
    char folder[] = "/tmp/flt-mlp-XXXXXX", spec[128];
    cr_assert(mkdtemp(folder) != NULL);
    write_half(folder, "train", 300);
    write_half(folder, "t10k", 270); // more than one chunk of evaluation
    snprintf(spec, sizeof spec, "digits_mlp:batch=16,augment=false,data=%s", folder);
    flt_objective *o = make(spec), *again = make(o->spec);
    flt_real *theta = initial(o, 1);
    double accuracy;
    cr_assert_str_eq(o->spec, spec);
    cr_assert_eq(o->layout.total, HEIGHT * WIDTH * 32 + 32 + 32 * HEIGHT + HEIGHT);
    cr_assert(o->normaliser == log(4.0));
    flt_objective_destroy(o);
    adam(again, 1, 300, 1e-2, theta);
    for (int s = 0; s < 3; s++) {
        evaluate(again, 1, (flt_split)s, theta, &accuracy);
        cr_assert(accuracy == 1.0, "split %d: %.3f", s, accuracy);
    }
    free(theta);
    flt_objective_destroy(again);
    cr_assert_eq(flt_live_blocks(), before);
    remove_folder(folder);
}
