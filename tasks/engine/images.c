// SPDX-License-Identifier: MIT
// Filling minibatches of images. A batch of 64 images of 8 x 8 takes a few microseconds, most of it the noise.
#include "engine/images.h"
#include "engine/kernels/minibatch.h"
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

static minibatch_window window_of(const flt_dataset *d) {
    return (minibatch_window){d->height, d->width, d->width + 2, (flt_real)d->scale};
}

// The upper left pixel of what is seen of an image's frame after it was moved: (1, 1) where it stays.
static const unsigned char *corner(const flt_dataset *d, size_t image, unsigned down, unsigned right) {
    const size_t stride = d->width + 2;
    return d->pixels + image * (d->height + 2) * stride + (2 - down) * stride + (2 - right);
}

// Asks for the first lines of an image, which lies anywhere, before its turn.
static void fetch(const flt_dataset *d, size_t image) {
    const unsigned char *from = d->pixels + image * (d->height + 2) * (d->width + 2);
    for (size_t byte = 0; byte < 192; byte += 64) __builtin_prefetch(from + byte);
}

// Nine equally likely shifts by 0, 1 or 2 pixels, and noise. 32 random bits read as a fraction in base 9 give the shifts of 4
// images, uniform within 2e-6.
static void augment(const flt_images *s, flt_batch which, size_t rows, flt_real *pixels) {
    const minibatch_kernels *k = FLTX_ISA_PICK(minibatch_kernels);
    const flt_dataset *d = s->data;
    const minibatch_window w = window_of(d);
    const size_t first = d->first[which.split], image = d->height * d->width;
    const flt_rng shift = flt_rng_make(which.seed, "images.shift", which.step);
    uint64_t fraction = 0;
    flt_rng_normal_fast(flt_rng_make(which.seed, "images.noise", which.step), 0, rows * image, s->normal);
    for (size_t i = 0; i < rows; i++) {
        if (i % 4 == 0) fraction = flt_rng_bits(shift, i / 4) & UINT32_MAX;
        const unsigned place = (unsigned)(fraction * 9 >> 32);
        fraction = fraction * 9 & UINT32_MAX;
        k->copy_noisy(&w, corner(d, first + s->row[i], place / 3, place % 3), (flt_real)s->noise, s->normal + i * image,
                      pixels + i * image);
    }
}

void flt_images_batch(flt_images *s, flt_batch which, size_t rows, flt_real *pixels, flt_real *labels) {
    const minibatch_kernels *k = FLTX_ISA_PICK(minibatch_kernels);
    const flt_dataset *d = s->data;
    const minibatch_window w = window_of(d);
    const size_t first = d->first[which.split];
    flt_minibatch_rows(which, flt_dataset_rows(d, which.split), rows, s->row);
    for (size_t i = 0; i < rows; i++) {
        labels[i] = (flt_real)d->labels[first + s->row[i]];
        fetch(d, first + s->row[i]);
    }
    if (s->augment && which.split == FLTX_TRAIN)
        augment(s, which, rows, pixels);
    else
        for (size_t i = 0; i < rows; i++) k->copy(&w, corner(d, first + s->row[i], 1, 1), pixels + i * d->height * d->width);
}

void flt_images_plain(const flt_images *s, flt_split split, size_t first, size_t rows, flt_real *pixels, flt_real *labels) {
    const minibatch_kernels *k = FLTX_ISA_PICK(minibatch_kernels);
    const flt_dataset *d = s->data;
    const minibatch_window w = window_of(d);
    for (size_t i = 0; i < rows; i++) {
        const size_t row = d->first[split] + first + i;
        k->copy(&w, corner(d, row, 1, 1), pixels + i * d->height * d->width);
        labels[i] = (flt_real)d->labels[row];
    }
}

// ---- as a task's functions

flt_image_inputs flt_images_inputs(const flt_images *s, flt_task_model *m) {
    const flt_node pixels = flt_task_input(m, "pixels", 2, (size_t[]){m->rows, s->data->height * s->data->width});
    return (flt_image_inputs){pixels, flt_task_input(m, "labels", 1, &m->rows)};
}

void flt_images_task_close(void *self) {
    flt_images_close(self);
}

void flt_images_task_batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    flt_images_batch(self, which, rows, in[0], in[1]);
}

size_t flt_images_task_rows(void *self, flt_split split) {
    const flt_images *s = self;
    return flt_dataset_rows(s->data, split);
}

void flt_images_task_examples(void *self, flt_task_rows which, flt_real *const *in) {
    flt_images_plain(self, which.split, which.first, which.rows, in[0], in[1]);
}
