// SPDX-License-Identifier: MIT
// Filling minibatches of images. A batch of 64 images of 8 x 8 takes a few microseconds, most of it the noise.
#include "engine/images.h"
#include "engine/shuffle.h"
#include "flt/memory.h"

flt_err flt_images_open(const char *who, const flt_params *p, flt_images *out) {
    *out = (flt_images){.augment = flt_params_bool(p, "augment"), .noise = flt_params_real(p, "noise")};
    const size_t batch = flt_params_size(p, "batch");
    size_t pixels = 0;
    FLTX_TRY(flt_dataset_open(who, flt_params_text(p, "data"), &out->data));
    const flt_dataset *d = out->data;
    if (!flt_mul_ok(d->height * d->width, batch, &pixels))
        return flt_fail(FLTE_RANGE, who, "a batch of %zu images of %zu x %zu does not fit in memory", batch, d->height, d->width);
    FLTX_TRY(flt_alloc(batch, sizeof *out->row, &out->row));
    return flt_alloc(pixels, sizeof *out->normal, &out->normal);
}

void flt_images_close(flt_images *s) {
    flt_dataset_close(s->data);
    flt_free(s->row);
    flt_free(s->normal);
    *s = (flt_images){0};
}

// One image out of its frame of zeros, moved by (dy, dx) in -1 .. 1. Inlined with a constant width where that is the usual one.
static inline __attribute__((always_inline)) void copy_rows(const unsigned char *corner, size_t height, size_t width,
                                                            flt_real scale, flt_real *out) {
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) out[y * width + x] = scale * (flt_real)corner[y * (width + 2) + x];
}

static void copy_image(const flt_dataset *d, size_t image, unsigned down, unsigned right, flt_real *out) {
    const size_t stride = d->width + 2;
    const unsigned char *corner = d->pixels + image * (d->height + 2) * stride + (2 - down) * stride + (2 - right);
    if (d->width == 8)
        copy_rows(corner, d->height, 8, (flt_real)d->scale, out);
    else
        copy_rows(corner, d->height, d->width, (flt_real)d->scale, out);
}

// Moves by 0, 1 or 2 pixels from the upper left corner (1: where it was): nine shifts, equally likely within 2^-13; four images
// share 64 random bits.
static void copy_shifted(const flt_images *s, flt_batch which, size_t rows, flt_real *pixels) {
    const flt_dataset *d = s->data;
    const flt_rng shift = flt_rng_make(which.seed, "images.shift", which.step);
    uint64_t bits = 0;
    for (size_t i = 0; i < rows; i++, bits >>= 16) {
        if (i % 4 == 0) bits = flt_rng_bits(shift, i / 4);
        const unsigned place = (unsigned)(bits & 0xffff) * 9 >> 16;
        copy_image(d, d->first[which.split] + s->row[i], place / 3, place % 3, pixels + i * d->height * d->width);
    }
}

static void add_noise(const flt_images *s, flt_batch which, size_t n, flt_real *pixels) {
    const flt_real scale = (flt_real)s->noise;
    flt_rng_normal_fast(flt_rng_make(which.seed, "images.noise", which.step), 0, n, s->normal);
    for (size_t i = 0; i < n; i++) pixels[i] += scale * (flt_real)s->normal[i];
}

void flt_images_batch(flt_images *s, flt_batch which, size_t rows, flt_real *pixels, flt_real *labels) {
    const flt_dataset *d = s->data;
    const size_t first = d->first[which.split], image = d->height * d->width;
    const bool augment = s->augment && which.split == FLTX_TRAIN;
    flt_minibatch_rows(which, flt_dataset_rows(d, which.split), rows, s->row);
    for (size_t i = 0; i < rows; i++) labels[i] = (flt_real)d->labels[first + s->row[i]];
    if (augment)
        copy_shifted(s, which, rows, pixels);
    else
        for (size_t i = 0; i < rows; i++) copy_image(d, first + s->row[i], 1, 1, pixels + i * image);
    if (augment && s->noise > 0.0) add_noise(s, which, rows * image, pixels);
}

void flt_images_plain(const flt_images *s, flt_split split, size_t first, size_t rows, flt_real *pixels, flt_real *labels) {
    const flt_dataset *d = s->data;
    for (size_t i = 0; i < rows; i++) {
        const size_t row = d->first[split] + first + i;
        copy_image(d, row, 1, 1, pixels + i * d->height * d->width);
        labels[i] = (flt_real)d->labels[row];
    }
}
