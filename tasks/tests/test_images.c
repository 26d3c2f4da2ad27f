// SPDX-License-Identifier: MIT
// Minibatches of images: scaling, shifts and noise are what the parameters say, and only on the training split.
#include "engine/images.h"
#include "engine/shuffle.h"
#include "flt/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { ROWS = 64, PIXELS = 64 };

static const flt_param_spec specs[] = {FLTX_IMAGES_PARAMS, {0}};

typedef struct minibatch {
    flt_real pixels[ROWS * PIXELS], labels[ROWS];
    uint32_t row[ROWS];
} minibatch;

static flt_images open_images(const char *params) {
    flt_params *p = NULL;
    flt_images s;
    cr_assert_eq(flt_params_create("test", specs, &p), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_params_parse(p, params), FLTE_OK, "%s", flt_error());
    cr_assert_eq(flt_images_open("test", p, &s), FLTE_OK, "%s", flt_error());
    flt_params_destroy(p);
    return s;
}

static void draw(flt_images *s, flt_batch which, minibatch *m) {
    flt_images_batch(s, which, ROWS, m->pixels, m->labels);
    flt_minibatch_rows(which, flt_dataset_rows(s->data, which.split), ROWS, m->row);
}

// Pixel (y, x) of the image behind row i, moved down by dy and right by dx: what leaves the frame is gone, what enters is 0.
static double moved(const flt_images *s, flt_batch which, const minibatch *m, size_t i, int y, int x, int dy, int dx) {
    const size_t image = s->data->first[which.split] + m->row[i];
    const int sy = y - dy, sx = x - dx;
    if (sy < 0 || sy > 7 || sx < 0 || sx > 7) return 0.0;
    return s->data->pixels[image * 100 + (size_t)(sy + 1) * 10 + (size_t)(sx + 1)] / 16.0;
}

// Root mean square of what is left of image i after the shift.
static double residual(const flt_images *s, flt_batch which, const minibatch *m, size_t i, int dy, int dx) {
    double sum = 0.0;
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            const double e = (double)m->pixels[i * PIXELS + (size_t)(8 * y + x)] - moved(s, which, m, i, y, x, dy, dx);
            sum += e * e;
        }
    return sqrt(sum / PIXELS);
}

// The best shift, 3 (dy + 1) + dx + 1, and its residual.
static int best_shift(const flt_images *s, flt_batch which, const minibatch *m, size_t i, double *least) {
    int best = 0;
    *least = INFINITY;
    for (int k = 0; k < 9; k++) {
        const double r = residual(s, which, m, i, k / 3 - 1, k % 3 - 1);
        if (r < *least) {
            *least = r;
            best = k;
        }
    }
    return best;
}

Test(images, are_plain_but_for_training) {
    static const struct {
        const char *label, *params;
        flt_split split;
    } cases[] = {{"validation", "", FLTX_VALID}, {"test", "", FLTX_TEST}, {"without augmentation", "augment=false", FLTX_TRAIN}};
    static minibatch m;
    for (size_t c = 0; c < 3; c++) {
        flt_images s = open_images(cases[c].params);
        const flt_batch which = {4, cases[c].split, 2};
        draw(&s, which, &m);
        for (size_t i = 0; i < ROWS; i++) {
            cr_assert(residual(&s, which, &m, i, 0, 0) == 0.0, "%s, image %zu", cases[c].label, i);
            cr_assert(m.labels[i] == s.data->labels[s.data->first[which.split] + m.row[i]], "%s, label %zu", cases[c].label, i);
        }
        flt_images_close(&s);
    }
}

Test(images, shift_by_up_to_one_pixel_uniformly) {
    enum { STEPS = 100 };
    static minibatch m;
    size_t count[9] = {0};
    flt_images s = open_images("noise=0");
    for (uint64_t k = 0; k < STEPS; k++) {
        const flt_batch which = {4, FLTX_TRAIN, k};
        draw(&s, which, &m);
        for (size_t i = 0; i < ROWS; i++) {
            double least;
            count[best_shift(&s, which, &m, i, &least)]++;
            cr_assert(least == 0.0, "step %d, image %zu: no shift by up to one pixel gives it", (int)k, i);
        }
    }
    for (size_t k = 0; k < 9; k++) {
        const double mean = (double)STEPS * ROWS / 9, deviation = sqrt(mean * 8 / 9);
        cr_assert(fabs((double)count[k] - mean) < 5 * deviation, "shift %zu: %zu times, not about %g", k, count[k], mean);
    }
    flt_images_close(&s);
}

Test(images, have_noise_of_the_stated_deviation) {
    static const struct {
        const char *params;
        double noise;
    } cases[] = {{"", 0.1}, {"noise=0.02", 0.02}};
    enum { STEPS = 20 };
    static minibatch m;
    for (size_t c = 0; c < 2; c++) {
        flt_images s = open_images(cases[c].params);
        double squares = 0.0;
        for (uint64_t k = 0; k < STEPS; k++) {
            const flt_batch which = {4, FLTX_TRAIN, k};
            draw(&s, which, &m);
            for (size_t i = 0; i < ROWS; i++) {
                double least;
                best_shift(&s, which, &m, i, &least);
                squares += least * least;
            }
        }
        const double n = STEPS * ROWS * PIXELS, ratio = sqrt(squares / (STEPS * ROWS)) / cases[c].noise;
        // the estimate of a standard deviation errs by 1 / sqrt(2 n)
        cr_assert(fabs(ratio - 1.0) < 5.0 / sqrt(2.0 * n), "noise %g: ratio %.4f", cases[c].noise, ratio);
        flt_images_close(&s);
    }
}

Test(images, are_new_at_each_step) {
    static minibatch a, b;
    flt_images s = open_images("batch=64");
    draw(&s, (flt_batch){4, FLTX_TRAIN, 0}, &a);
    draw(&s, (flt_batch){4, FLTX_TRAIN, 1}, &b);
    cr_assert(memcmp(a.pixels, b.pixels, sizeof a.pixels) != 0);
    draw(&s, (flt_batch){4, FLTX_TRAIN, 0}, &b);
    cr_assert(memcmp(a.pixels, b.pixels, sizeof a.pixels) == 0);
    draw(&s, (flt_batch){5, FLTX_TRAIN, 0}, &b);
    cr_assert(memcmp(a.pixels, b.pixels, sizeof a.pixels) != 0);
    flt_images_close(&s);
}

Test(images, give_rows_of_a_split_in_order) {
    static flt_real pixels[180 * PIXELS], labels[180];
    flt_images s = open_images("");
    flt_images_plain(&s, FLTX_VALID, 30, 150, pixels, labels);
    for (size_t i = 0; i < 150; i++) {
        const size_t image = s.data->first[FLTX_VALID] + 30 + i;
        cr_assert(labels[i] == s.data->labels[image], "%zu", i);
        for (size_t k = 0; k < PIXELS; k++)
            cr_assert((double)pixels[i * PIXELS + k] == s.data->pixels[image * 100 + (k / 8 + 1) * 10 + k % 8 + 1] / 16.0, "%zu",
                      i);
    }
    flt_images_close(&s);
}

// Every width that the kernels treat by itself, and others: images made here, seen through a batch of one.
Test(images, of_any_size_are_copied_and_shifted) {
    static const size_t sizes[][2] = {{1, 1}, {3, 5}, {5, 3}, {8, 8}, {4, 8}, {28, 28}, {3, 28}, {2, 33}};
    static unsigned char pixels[30 * 35];
    static const unsigned char label = 3;
    static flt_real out[28 * 33], out_label;
    static float normal[28 * 33];
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        const size_t h = sizes[c][0], w = sizes[c][1];
        const flt_dataset d = {
            .height = h, .width = w, .classes = 10, .first = {0, 1, 1, 1}, .scale = 0.25, .pixels = pixels, .labels = &label};
        uint32_t row;
        flt_images s = {.data = &d, .augment = true, .row = &row, .normal = normal};
        memset(pixels, 0, sizeof pixels);
        for (size_t y = 1; y <= h; y++)
            for (size_t x = 1; x <= w; x++) pixels[y * (w + 2) + x] = (unsigned char)(1 + 7 * y + 3 * x);
        flt_images_plain(&s, FLTX_TRAIN, 0, 1, out, &out_label);
        cr_assert(out_label == 3, "%zu x %zu", h, w);
        for (size_t i = 0; i < h * w; i++)
            cr_assert((double)out[i] == 0.25 * pixels[(i / w + 1) * (w + 2) + i % w + 1], "%zu x %zu: pixel %zu", h, w, i);
        for (uint64_t step = 0; step < 40; step++) {
            bool found = false;
            flt_images_batch(&s, (flt_batch){1, FLTX_TRAIN, step}, 1, out, &out_label);
            for (size_t k = 0; k < 9 && !found; k++) {
                found = true;
                for (size_t i = 0; i < h * w; i++)
                    found &= (double)out[i] == 0.25 * pixels[(i / w + k / 3) * (w + 2) + i % w + k % 3];
            }
            cr_assert(found, "%zu x %zu, step %d", h, w, (int)step);
        }
    }
}
