// SPDX-License-Identifier: MIT
// Networks other than the perceptron: layers against plain loops, and that they learn.
#include "support.h"

static const flt_real *tensor(const flt_objective *o, const flt_real *theta, const char *name) {
    const flt_tensor_spec *t = flt_layout_find(&o->layout, name);
    cr_assert(t != NULL, "%s has no %s", o->spec, name);
    return theta + t->offset;
}

static double cross_entropy(const double *logits, size_t n, size_t label) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += exp(logits[i] - logits[label]);
    return log(sum);
}

// One image of the data, through a task that shows it: the gradient of a softmax regression's weights is (p - onehot) x, its
// bias' p - onehot.
typedef struct example {
    double pixels[64];
    size_t label;
} example;

static example first_example(uint64_t seed) {
    flt_objective *o = make("softmax_regression:batch=1,augment=false,decay=0");
    flt_real *theta = initial(o, 1), *g = vector(o->layout.total);
    example e = {.label = 10};
    o->gradient(o->self, (flt_batch){seed, FLTX_TRAIN, 0}, theta, g);
    const flt_real *w = tensor(o, g, "linear.w"), *b = tensor(o, g, "linear.b");
    for (size_t c = 0; c < 10; c++)
        if (b[c] < 0) e.label = c;
    for (size_t i = 0; i < 64; i++) e.pixels[i] = round(16.0 * (double)w[i * 10] / (double)b[0]) / 16.0;
    cr_assert_lt(e.label, 10);
    free(theta);
    free(g);
    flt_objective_destroy(o);
    return e;
}

static double at(const double *x, size_t channels, size_t c, long row, long column) {
    return row < 0 || row > 7 || column < 0 || column > 7 ? 0.0 : x[((size_t)row * 8 + (size_t)column) * channels + c];
}

// relu(conv) of an 8 x 8 image with one channel, then means of 2 x 2 blocks: [4, 4, channels]
static void conv_and_pool(const double *x, const flt_real *w, const flt_real *b, size_t channels, double *out) {
    memset(out, 0, 16 * channels * sizeof *out);
    for (long r = 0; r < 8; r++)
        for (long s = 0; s < 8; s++)
            for (size_t c = 0; c < channels; c++) {
                double sum = (double)b[c];
                for (long i = 0; i < 9; i++)
                    sum += at(x, 1, 0, r + i / 3 - 1, s + i % 3 - 1) * (double)w[(size_t)i * channels + c];
                out[((size_t)(r / 2) * 4 + (size_t)(s / 2)) * channels + c] += fmax(sum, 0.0) / 4.0;
            }
}

Test(networks, digits_conv_is_a_convolution) {
    enum { C = 3 };
    flt_objective *o = make("digits_conv:batch=1,augment=false,depth=1,channels=3");
    for (uint64_t seed = 1; seed < 6; seed++) {
        const example e = first_example(seed);
        flt_real *theta = initial(o, seed);
        for (size_t i = 0; i < o->layout.total; i++) theta[i] += (flt_real)0.01; // no bias is zero
        double features[16 * C], logits[10];
        conv_and_pool(e.pixels, tensor(o, theta, "conv.0.w"), tensor(o, theta, "conv.0.b"), C, features);
        for (size_t k = 0; k < 10; k++) {
            logits[k] = (double)tensor(o, theta, "head.b")[k];
            for (size_t i = 0; i < 16 * C; i++) logits[k] += features[i] * (double)tensor(o, theta, "head.w")[i * 10 + k];
        }
        const double want = cross_entropy(logits, 10, e.label);
        const double got = (double)o->gradient(o->self, (flt_batch){seed, FLTX_TRAIN, 0}, theta, NULL);
        cr_assert(fabs(got - want) <= 30 * FLTX_EPS * 10 * want, "seed %d: %.9g, not %.9g", (int)seed, got, want);
        free(theta);
    }
    flt_objective_destroy(o);
}

Test(networks, layer_norm_whitens_the_units) {
    enum { W = 7 };
    flt_objective *o = make("digits_mlp:batch=1,augment=false,width=7,norm=true,activation=tanh");
    for (uint64_t seed = 1; seed < 6; seed++) {
        const example e = first_example(seed);
        flt_real *theta = initial(o, seed);
        for (size_t i = 0; i < o->layout.total; i++) theta[i] += (flt_real)0.02 * (flt_real)(i % 5);
        double units[W], mean = 0.0, variance = 0.0, logits[10];
        for (size_t j = 0; j < W; j++) {
            units[j] = (double)tensor(o, theta, "layers.0.b")[j];
            for (size_t i = 0; i < 64; i++) units[j] += e.pixels[i] * (double)tensor(o, theta, "layers.0.w")[i * W + j];
            mean += units[j] / W;
        }
        for (size_t j = 0; j < W; j++) variance += pow(units[j] - mean, 2) / W;
        for (size_t k = 0; k < 10; k++) logits[k] = (double)tensor(o, theta, "layers.1.b")[k];
        for (size_t j = 0; j < W; j++) {
            const double scale = (double)tensor(o, theta, "layers.0.norm.scale")[j];
            const double shift = (double)tensor(o, theta, "layers.0.norm.shift")[j];
            const double y = tanh(scale * (units[j] - mean) / sqrt(variance + 1e-5) + shift);
            for (size_t k = 0; k < 10; k++) logits[k] += y * (double)tensor(o, theta, "layers.1.w")[j * 10 + k];
        }
        const double want = cross_entropy(logits, 10, e.label);
        const double got = (double)o->gradient(o->self, (flt_batch){seed, FLTX_TRAIN, 0}, theta, NULL);
        cr_assert(fabs(got - want) <= 30 * FLTX_EPS * 10 * want, "seed %d: %.9g, not %.9g", (int)seed, got, want);
        free(theta);
    }
    flt_objective_destroy(o);
}

Test(networks, softmax_regression_adds_its_decay) {
    flt_objective *plain = make("softmax_regression:decay=0"), *decayed = make("softmax_regression:decay=0.5");
    flt_real *theta = initial(plain, 2);
    const double squares = pow(norm(640, tensor(plain, theta, "linear.w")), 2);
    const double a = evaluate(plain, 1, FLTX_VALID, theta, NULL), b = evaluate(decayed, 1, FLTX_VALID, theta, NULL);
    cr_assert(fabs(b - a - 0.25 * squares) <= 30 * FLTX_EPS * 10 * b, "%.9g and %.9g", a, b);
    free(theta);
    flt_objective_destroy(plain);
    flt_objective_destroy(decayed);
}

Test(networks, learn_with_adam) {
    static const struct {
        const char *spec;
        size_t steps;
        double lr, loss, accuracy; // on the validation split
    } cases[] = {{"softmax_regression", 500, 1e-2, 0.8, 0.85},
                 {"digits_conv:channels=8", 300, 1e-2, 0.45, 0.83},
                 {"digits_mlp:norm=true,depth=2", 500, 5e-3, 0.45, 0.88},
                 {"glyphs:width=64,noise=0.05", 600, 1e-2, 1.0, 0.7},
                 {"teacher_student:instance=3", 1000, 1e-2, 0.1, -1},
                 {"matrix_factorisation:instance=3", 1000, 2e-2, 0.1, -1},
                 {"noisy_linear_regression:instance=3,noise=0.1,conditioning=2", 1000, 1e-2, 0.02, -1},
                 {"digits_autoencoder:noise=0", 500, 5e-3, 0.05, -1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        flt_objective *o = make(cases[c].spec);
        flt_real *theta = initial(o, 5);
        double accuracy;
        adam(o, 5, cases[c].steps, cases[c].lr, theta);
        const double loss = evaluate(o, 5, FLTX_VALID, theta, &accuracy);
        cr_log_info("%s: validation loss %.3f of %.3f, accuracy %.3f", cases[c].spec, loss, o->normaliser, accuracy);
        cr_assert(loss < cases[c].loss, "%s: loss %.4f", cases[c].spec, loss);
        if (o->metric != NULL) cr_assert(accuracy > cases[c].accuracy, "%s: accuracy %.3f", cases[c].spec, accuracy);
        free(theta);
        flt_objective_destroy(o);
    }
}

// The teacher's own weights are a student of loss 0; so are the factors of the matrix, and w*.
Test(networks, teacher_student_knows_its_minimum) {
    flt_objective *o = make("teacher_student:inputs=3,teacher=2,width=2,instance=1,activation=tanh");
    flt_objective *wide = make("teacher_student:width=3"), *deep = make("teacher_student:depth=2");
    cr_assert(o->has_minimum && o->minimum == 0.0 && !wide->has_minimum && !deep->has_minimum);
    double best = INFINITY;
    for (uint64_t seed = 0; seed < 5; seed++) { // small students have local minima
        flt_real *theta = initial(o, seed);
        adam(o, seed, 3000, 1e-2, theta);
        best = fmin(best, evaluate(o, seed, FLTX_TEST, theta, NULL));
        free(theta);
    }
    cr_assert(best < 1e-3, "%g", best);
    flt_objective_destroy(o);
    flt_objective_destroy(wide);
    flt_objective_destroy(deep);
}

Test(networks, seeds_and_instances_are_problems_of_their_own) {
    static const char *const tasks[] = {"teacher_student", "matrix_factorisation", "noisy_linear_regression"};
    for (size_t i = 0; i < 3; i++) {
        char spec[64];
        flt_objective *free_one = make(tasks[i]);
        snprintf(spec, sizeof spec, "%s:instance=4", tasks[i]);
        flt_objective *fixed = make(spec);
        flt_real *theta = initial(fixed, 1);
        adam(fixed, 1, 500, 1e-2, theta);
        const double same = evaluate(fixed, 2, FLTX_TEST, theta, NULL), other = evaluate(free_one, 2, FLTX_TEST, theta, NULL);
        cr_assert(other > 2 * same && other > 0.4 * fixed->normaliser, "%s: %g and %g", spec, same, other);
        free(theta);
        flt_objective_destroy(free_one);
        flt_objective_destroy(fixed);
    }
}

// Rank 1 with factors of one number each: exact factors have loss 0 on the whole matrix, whatever the noise of minibatches.
Test(networks, matrix_factorisation_evaluates_without_noise) {
    flt_objective *o = make("matrix_factorisation:rows=6,columns=5,rank=1,factors=1,instance=2");
    flt_objective *few = make("matrix_factorisation:rank=3,factors=2");
    flt_real *theta = initial(o, 1);
    cr_assert(o->has_minimum && !few->has_minimum);
    adam(o, 1, 4000, 3e-3, theta);
    const double clean = evaluate(o, 1, FLTX_TEST, theta, NULL);
    const double noisy = (double)o->gradient(o->self, (flt_batch){1, FLTX_TRAIN, 9999}, theta, NULL);
    cr_assert(clean < 1e-3 && noisy > 5e-3, "%g without, %g with noise", clean, noisy);
    free(theta);
    flt_objective_destroy(o);
    flt_objective_destroy(few);
}
