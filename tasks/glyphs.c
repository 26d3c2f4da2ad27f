// SPDX-License-Identifier: MIT
// Multilayer perceptron on drawn letters and digits: images without end, no data file.
//
//   x = glyph(label; angle, scale, shift) + noise N(0, 1) [batch, size^2],  loss = mean_batch -log softmax(mlp(x))[label]
//
// Glyphs come from an own bitmap font of 8 x 8 cells; labels, angles, scales and shifts are uniform. Each split has streams of
// its own, keyed by (seed, split, step): nothing is ever seen twice, hence no overfitting; evaluation averages 16 minibatches of
// the split. Tensors as in digits_mlp; the default has 64-32-36 units and 3,268 parameters. Cost of a step: 6 batch P flops, and
// 10 ns a pixel.
#include "engine/glyphs.h"
#include "engine/layers.h"
#include "engine/noise.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>

typedef struct glyphs {
    flt_mlp mlp;
    size_t classes, size;
    double rotation, scale, shift, noise;
    float *normal; // [batch, size^2]
    flt_real *grain;
} glyphs;

static const flt_param_spec params[] = {
    FLTX_MLP_PARAMS,
    {"classes", FLTX_INT, "36", 2, FLTX_GLYPHS, NULL, "the first of A .. Z, 0 .. 9"},
    {"size", FLTX_INT, "8", 4, 64, NULL, "pixels on a side"},
    {"rotation", FLTX_REAL, "15", 0, 180, NULL, "largest angle, degrees"},
    {"scale", FLTX_REAL, "0.15", 0, 0.9, NULL, "largest change of size, relative"},
    {"shift", FLTX_REAL, "0.75", 0, 8, NULL, "largest shift in each direction, eighths of a side"},
    {"noise", FLTX_REAL, "0.1", 0, 10, NULL, "standard deviation of the noise; ink is 1, paper 0"},
    {"batch", FLTX_INT, "64", 1, 65536, NULL, "images in a minibatch"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    glyphs *s = self;
    *s = (glyphs){.mlp = flt_mlp_params(p), .classes = flt_params_size(p, "classes"), .size = flt_params_size(p, "size")};
    s->rotation = flt_params_real(p, "rotation") * M_PI / 180.0;
    s->scale = flt_params_real(p, "scale");
    s->shift = flt_params_real(p, "shift");
    s->noise = flt_params_real(p, "noise");
    const size_t pixels = flt_params_size(p, "batch") * s->size * s->size;
    FLTX_TRY(flt_alloc(pixels, sizeof *s->normal, &s->normal));
    return flt_alloc(pixels, sizeof *s->grain, &s->grain);
}

static void close(void *self) {
    glyphs *s = self;
    flt_free(s->normal);
    flt_free(s->grain);
}

static void build(void *self, flt_task_model *m) {
    const glyphs *s = self;
    const size_t pixels = s->size * s->size;
    const flt_node x = flt_task_input(m, "pixels", 2, (size_t[]){m->rows, pixels});
    const flt_node labels = flt_task_input(m, "labels", 1, &m->rows);
    flt_classify(m, flt_mlp_apply(m, "layers", &s->mlp, x, pixels, s->classes), labels, s->classes);
}

// Uniform in (-1, 1)
static double either_way(flt_rng r, uint64_t i) {
    return 2.0 * flt_rng_uniform_at(r, i) - 1.0;
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    const glyphs *s = self;
    const flt_rng r = flt_rng_child(flt_rng_make(which.seed, "glyphs", (uint64_t)which.split), "step", which.step);
    const flt_rng label = flt_rng_child(r, "label", 0), place = flt_rng_child(r, "place", 0);
    const size_t pixels = s->size * s->size;
    for (size_t i = 0; i < rows; i++) {
        const size_t glyph = (size_t)flt_rng_below(label, i, s->classes);
        const flt_glyph_place at = {
            .angle = s->rotation * either_way(place, 4 * i),
            .scale = 1.0 + s->scale * either_way(place, 4 * i + 1),
            .down = s->shift * either_way(place, 4 * i + 2),
            .right = s->shift * either_way(place, 4 * i + 3),
        };
        flt_glyph_draw(glyph, &at, s->size, in[0] + i * pixels);
        in[1][i] = (flt_real)glyph;
    }
    flt_noise(flt_rng_child(r, "noise", 0), rows * pixels, s->normal, s->grain);
    for (size_t i = 0; i < rows * pixels; i++) in[0][i] += (flt_real)s->noise * s->grain[i];
}

static const flt_graph_task task = {.size = sizeof(glyphs), .open = open, .close = close, .build = build, .batch = batch};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_glyphs = {
    .kind = {.name = "glyphs",
             .summary = "multilayer perceptron on drawn letters and digits, without end",
             .formula = "mean over the batch of -log softmax(mlp(pixels))[label]",
             .cost = "time O(batch P), memory O(P + batch (size^2 + width depth))",
             .caps = FLTX_TASK_STOCHASTIC,
             .params = params},
    .create = create,
};
