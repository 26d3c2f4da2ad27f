// SPDX-License-Identifier: MIT
// A student network learns a random teacher network from inputs without end.
//
//   loss = mean_batch (student(x) - teacher(x) - noise xi)^2,   x ~ N(0, I) [batch, inputs],   teacher(x) = c' act(A' x)
//
// A ~ N(0, 1 / inputs) [inputs, teacher], c ~ N(0, 1 / (teacher E act(z)^2)): the teacher's output has variance about 1. The
// student is a perceptron, layers as in digits_mlp. The teacher follows the seed of the minibatch, so that each run meets one of
// its own; instance >= 0 fixes it for all. With one hidden layer of at least the teacher's width and no noise the least loss is 0
// (E. Gardner, B. Derrida, J. Phys. A 22 (1989) for the setting). Evaluation averages 16 fresh minibatches of the split. Cost of
// a step: 6 batch P flops.
#include "engine/landscape.h"
#include "engine/layers.h"
#include "engine/noise.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>
#include <string.h>

typedef struct teacher_student {
    flt_mlp student;
    size_t inputs, teacher;
    double noise, moment; // moment: the mean of act(z)^2
    long long instance;
    bool made; // the teacher of `seed` is in the arrays below
    uint64_t seed;
    float *normal; // [batch, inputs]
    flt_real *a;   // [inputs, teacher]
    flt_real *c;   // [teacher]
} teacher_student;

static const flt_param_spec params[] = {
    FLTX_MLP_PARAMS,
    {"inputs", FLTX_INT, "16", 1, 4096, NULL, "input variables"},
    {"teacher", FLTX_INT, "4", 1, 4096, NULL, "hidden units of the teacher"},
    {"noise", FLTX_REAL, "0", 0, 100, NULL, "standard deviation added to the teacher's answers"},
    {"instance", FLTX_INT, "-1", -1, 9007199254740992.0, NULL, "which teacher; -1: the seed decides"},
    {"batch", FLTX_INT, "64", 1, 65536, NULL, "inputs in a minibatch"},
    {0},
};

// The mean of act(z)^2 for z ~ N(0, 1), by quadrature.
static double second_moment(const char *activation) {
    static const struct {
        const char *name;
        double value;
    } known[] = {{"relu", 0.5}, {"gelu", 0.425221}, {"tanh", 0.394294}, {"sigmoid", 0.293379}, {"silu", 0.355776}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, activation) == 0) return known[i].value;
    return 1.0;
}

static flt_err open(void *self, const flt_params *p) {
    teacher_student *s = self;
    *s = (teacher_student){.student = flt_mlp_params(p), .inputs = flt_params_size(p, "inputs")};
    s->teacher = flt_params_size(p, "teacher");
    s->noise = flt_params_real(p, "noise");
    s->moment = second_moment(s->student.activation);
    s->instance = flt_params_int(p, "instance");
    FLTX_TRY(flt_alloc(flt_params_size(p, "batch") * s->inputs, sizeof *s->normal, &s->normal));
    FLTX_TRY(flt_alloc(s->inputs * s->teacher, sizeof *s->a, &s->a));
    return flt_alloc(s->teacher, sizeof *s->c, &s->c);
}

static void close(void *self) {
    teacher_student *s = self;
    flt_free(s->normal);
    flt_free(s->a);
    flt_free(s->c);
}

static void make_teacher(teacher_student *s, uint64_t seed) {
    const flt_rng r =
        s->instance >= 0 ? flt_rng_make((uint64_t)s->instance, "teacher.instance", 0) : flt_rng_make(seed, "teacher.seed", 0);
    const double in = 1.0 / sqrt((double)s->inputs);
    const double out = 1.0 / sqrt((double)s->teacher * s->moment);
    if (s->made && (s->instance >= 0 || s->seed == seed)) return;
    flt_rng_normal(flt_rng_child(r, "a", 0), 0, s->inputs * s->teacher, s->a);
    flt_rng_normal(flt_rng_child(r, "c", 0), 0, s->teacher, s->c);
    for (size_t i = 0; i < s->inputs * s->teacher; i++) s->a[i] *= (flt_real)in;
    for (size_t i = 0; i < s->teacher; i++) s->c[i] *= (flt_real)out;
    s->seed = seed;
    s->made = true;
}

static void build(void *self, flt_task_model *m) {
    const teacher_student *s = self;
    flt_graph *g = m->graph;
    const flt_node x = flt_task_input(m, "x", 2, (size_t[]){m->rows, s->inputs});
    const flt_node noise = flt_task_input(m, "noise", 2, (size_t[]){m->rows, 1});
    const flt_node a = flt_task_input(m, "a", 2, (size_t[]){s->inputs, s->teacher});
    const flt_node c = flt_task_input(m, "c", 2, (size_t[]){s->teacher, 1});
    const flt_node hidden = flt_activation(g, s->student.activation, flt_matmul(g, x, a, false, false));
    const flt_node wanted = flt_add_scaled(g, flt_matmul(g, hidden, c, false, false), noise, s->noise);
    const flt_node got = flt_mlp_apply(m, "layers", &s->student, x, s->inputs, 1);
    m->loss = flt_mean_all(g, flt_square(g, flt_sub(g, got, wanted)));
    m->normaliser = 1.0 + s->moment + s->noise * s->noise; // the teacher, a student at its start, the noise
    m->has_minimum = s->noise == 0.0 && s->student.depth == 1 && !s->student.norm && s->student.width >= s->teacher;
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    teacher_student *s = self;
    const flt_rng r = flt_rng_child(flt_rng_make(which.seed, "teacher_student", (uint64_t)which.split), "step", which.step);
    make_teacher(s, which.seed);
    flt_noise(flt_rng_child(r, "x", 0), rows * s->inputs, s->normal, in[0]);
    flt_noise(flt_rng_child(r, "noise", 0), rows, s->normal, in[1]);
    memcpy(in[2], s->a, s->inputs * s->teacher * sizeof *s->a);
    memcpy(in[3], s->c, s->teacher * sizeof *s->c);
}

static const flt_graph_task task = {
    .size = sizeof(teacher_student), .open = open, .close = close, .build = build, .batch = batch};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_teacher_student = {
    .kind = {.name = "teacher_student",
             .summary = "a student network learns a random teacher network",
             .formula = "mean over the batch of (student(x) - c' act(A' x) - noise xi)^2",
             .cost = "time O(batch P), memory O(P + batch (inputs + width depth))",
             .citation = "E. Gardner, B. Derrida, J. Phys. A 22 (1989)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
