// SPDX-License-Identifier: MIT
// Minibatches of labelled images: rows without replacement within an epoch, and on the training split a random shift by up to one
// pixel in each direction and Gaussian noise. For every task that looks at digits.
#ifndef FLTX_IMAGES_H
#define FLTX_IMAGES_H

#include "engine/dataset.h"
#include "engine/graph_task.h"

// The rows of a task's parameter table that flt_images_open reads.
#define FLTX_IMAGES_PARAMS                                                                                                       \
    {"batch", FLTX_INT, "64", 1, 65536, NULL, "images in a minibatch"},                                                          \
        {"augment", FLTX_BOOL, "true", 0, 0, NULL, "shift by up to one pixel and noise on the training split"},                  \
        {"noise", FLTX_REAL, "0.1", 0, 10, NULL, "standard deviation of that noise; pixels lie in [0, 1]"}, {                    \
        "data", FLTX_TEXT, "digits", 0, 0, NULL, "digits, or a folder of IDX files (MNIST layout, .gz or plain)"                 \
    }

typedef struct flt_images {
    const flt_dataset *data;
    bool augment;
    double noise;
    uint32_t *row; // [batch]
    float *normal; // [batch, height, width]
} flt_images;

flt_err flt_images_open(const char *who, const flt_params *p, flt_images *out); // *out is closable after a failure
void flt_images_close(flt_images *s);

// pixels [rows, height, width] in [0, 1] but for noise, labels [rows]. rows: at most the batch that was opened.
void flt_images_batch(flt_images *s, flt_batch which, size_t rows, flt_real *pixels, flt_real *labels);
// Images first .. first + rows - 1 of a split as they are.
void flt_images_plain(const flt_images *s, flt_split split, size_t first, size_t rows, flt_real *pixels, flt_real *labels);

// ---- functions of a flt_graph_task whose state begins with a flt_images and whose first two inputs are
// pixels [rows, height width] and labels [rows]
typedef struct flt_image_inputs {
    flt_node pixels, labels;
} flt_image_inputs;

flt_image_inputs flt_images_inputs(const flt_images *s, flt_task_model *m);
void flt_images_task_close(void *self);
void flt_images_task_batch(void *self, flt_batch which, size_t rows, flt_real *const *in);
size_t flt_images_task_rows(void *self, flt_split split);
void flt_images_task_examples(void *self, flt_task_rows which, flt_real *const *in);

#endif
