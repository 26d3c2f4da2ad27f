// SPDX-License-Identifier: MIT
// flt replay OPTIMIZER --in IN.safetensors --out OUT.safetensors: the parameters after each step of a given gradient sequence.
#include "engine/args.h"
#include "engine/session.h"
#include "engine/shipped.h"
#include "engine/tensors.h"
#include "engine/verb.h"
#include "flt/memory.h"
#include "flt/num.h"
#include "flt/optimizer.h"

#include <stdio.h>
#include <string.h>

enum { KEY_IN = FLTX_KEY_VERB, KEY_OUT, KEY_WEIGHTS, KEY_STATE_IN, KEY_STATE_OUT };

typedef struct input {
    flt_common common;
    const char *optimizer, *in, *out, *weights, *state_in, *state_out;
} input;

typedef struct job {
    const input *input;
    flt_tensors *file;
    flt_params *params;
    flt_weights weights;
    flt_optimizer *optimizer;
    flt_tensor_writer *writer;
    flt_layout layout;
    size_t steps;
    uint64_t first;       // steps taken before
    flt_real *grads;      // [n tensors: steps x count], one after the other: offset steps * tensor.offset
    flt_real *trajectory; // the same shape
    flt_real *param, *grad, *state;
} job;

static const struct argp_option options[] = {
    {"in", KEY_IN, "FILE", 0, "safetensors with param.NAME (any rank) and grad.NAME [T, ..] for each", 1},
    {"out", KEY_OUT, "FILE", 0, "param.NAME [T, ..]: the parameters after each step", 1},
    {"weights", KEY_WEIGHTS, "FILE", 0,
     "weights of a learned optimizer, `shipped` for those of flt (default: its initialisation from the seed)", 1},
    {"state-in", KEY_STATE_IN, "FILE", 0, "go on from this state instead of a fresh one", 2},
    {"state-out", KEY_STATE_OUT, "FILE", 0, "where the state after the last step goes", 2},
    {0},
};

// The state that it starts from may be replaced by that after the last step.
static void check_files(const struct argp_state *state, const input *in) {
    const flt_arg_path gradients[] = {{"in", in->in}, {"out", in->out}, {"state-out", in->state_out}};
    const flt_arg_path weights[] = {{"weights", in->weights}, {"out", in->out}, {"state-out", in->state_out}};
    const flt_arg_path start[] = {{"state-in", in->state_in}, {"out", in->out}};
    flt_arg_distinct(state, &in->common, 3, gradients);
    flt_arg_distinct(state, &in->common, 3, weights);
    flt_arg_distinct(state, &in->common, 2, start);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_IN:
        in->in = flt_arg_file(state, "in", arg);
        return 0;
    case KEY_OUT:
        in->out = flt_arg_file(state, "out", arg);
        return 0;
    case KEY_WEIGHTS:
        in->weights = flt_shipped_weights(flt_arg_file(state, "weights", arg));
        return 0;
    case KEY_STATE_IN:
        in->state_in = flt_arg_file(state, "state-in", arg);
        return 0;
    case KEY_STATE_OUT:
        in->state_out = flt_arg_file(state, "state-out", arg);
        return 0;
    case ARGP_KEY_ARG:
        if (flt_common_take(&in->common, arg)) return 0;
        if (in->optimizer != NULL) argp_error(state, "'%s': one optimizer at a time", arg);
        in->optimizer = arg;
        return 0;
    case ARGP_KEY_END:
        if (in->optimizer == NULL) argp_error(state, "name an optimizer (see `flt list optimizers`)");
        if (in->in == NULL || in->out == NULL) argp_error(state, "--in FILE and --out FILE are needed");
        check_files(state, in);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const flt_tensor *grad_of(const job *j, const char *name) {
    char grad[80];
    snprintf(grad, sizeof grad, "grad.%s", name);
    return flt_tensors_find(j->file, grad);
}

// One parameter and its gradients: [T] + the parameter's shape, the same T for all.
static flt_err add_tensor(job *j, const flt_tensor *param) {
    const char *name = param->name + strlen("param.");
    size_t dim[FLTX_MAX_RANK + 1] = {j->steps == 0 ? SIZE_MAX : j->steps};
    if (strlen(name) > 60 || param->rank >= FLTX_MAX_RANK)
        return flt_fail(FLTE_SHAPE, "replay", "tensor %.80s: names have at most 60 characters, ranks are at most %d", name,
                        FLTX_MAX_RANK - 1);
    const flt_tensor *grad = grad_of(j, name);
    if (grad == NULL) return flt_fail(FLTE_FORMAT, "replay", "%s holds param.%s but no grad.%s", j->input->in, name, name);
    memcpy(dim + 1, param->dim, param->rank * sizeof *dim);
    FLTX_TRY(flt_tensor_expect("replay", grad, param->rank + 1, dim));
    FLTX_TRY(flt_tensor_finite("replay", param));
    FLTX_TRY(flt_tensor_finite("replay", grad));
    if (param->count == 0 || grad->dim[0] == 0) return flt_fail(FLTE_SHAPE, "replay", "param.%s or its gradient is empty", name);
    j->steps = grad->dim[0];
    return flt_layout_add(&j->layout, name, param->rank, param->dim);
}

static flt_err read_layout(job *j) {
    for (size_t i = 0; i < flt_tensors_count(j->file); i++) {
        const flt_tensor *t = flt_tensors_at(j->file, i);
        if (strncmp(t->name, "param.", 6) == 0)
            FLTX_TRY(add_tensor(j, t));
        else if (strncmp(t->name, "grad.", 5) != 0)
            return flt_fail(FLTE_FORMAT, "replay", "tensor '%.80s' of %s is neither param.NAME nor grad.NAME", t->name,
                            j->input->in);
    }
    if (j->layout.n == 0) return flt_fail(FLTE_FORMAT, "replay", "%s holds no tensor param.NAME", j->input->in);
    if (2 * j->layout.n != flt_tensors_count(j->file))
        return flt_fail(FLTE_FORMAT, "replay", "%s holds a grad.NAME without its param.NAME", j->input->in);
    return FLTE_OK;
}

static flt_err read_values(job *j) {
    FLTX_TRY(flt_alloc(j->layout.total, sizeof *j->param, &j->param));
    FLTX_TRY(flt_alloc(j->layout.total, sizeof *j->grad, &j->grad));
    FLTX_TRY(flt_alloc(j->layout.total, j->steps * sizeof *j->grads, &j->grads));
    FLTX_TRY(flt_alloc(j->layout.total, j->steps * sizeof *j->trajectory, &j->trajectory));
    for (size_t i = 0; i < j->layout.n; i++) {
        const flt_tensor_spec *t = &j->layout.tensor[i];
        char name[80];
        snprintf(name, sizeof name, "param.%s", t->name);
        flt_tensor_to_real(flt_tensors_find(j->file, name), j->param + t->offset);
        flt_tensor_to_real(grad_of(j, t->name), j->grads + j->steps * t->offset);
    }
    return FLTE_OK;
}

static flt_err plan(job *j) {
    const flt_optimizer_kind *kind = NULL;
    char who[128];
    FLTX_TRY(flt_optimizer_find(j->input->optimizer, &kind));
    snprintf(who, sizeof who, "optimizer %s", j->input->optimizer);
    if (j->input->weights != NULL && (kind->kind.caps & FLTX_OPT_LEARNED) == 0)
        return flt_fail(FLTE_USAGE, "replay", "%s is not a learned optimizer: it takes no --weights", j->input->optimizer);
    FLTX_TRY(flt_params_create(who, kind->kind.params, &j->params));
    FLTX_TRY(flt_common_apply(&j->input->common, j->params));
    FLTX_TRY(flt_weights_load(kind, j->params, j->input->weights, j->input->common.seed, &j->weights));
    FLTX_TRY(flt_tensors_read(j->input->in, &j->file));
    FLTX_TRY(read_layout(j));
    FLTX_TRY(read_values(j));
    FLTX_TRY(flt_optimizer_create(kind, j->weights.params, &j->layout, &j->optimizer));
    return flt_alloc(flt_optimizer_state_words(j->optimizer), sizeof *j->state, &j->state);
}

static flt_err start(job *j) {
    const size_t words = flt_optimizer_state_words(j->optimizer);
    flt_optimizer_bind(j->optimizer, j->weights.theta);
    flt_optimizer_init(j->optimizer, j->state);
    if (j->input->state_in != NULL)
        FLTX_TRY(flt_state_load(&j->weights, &j->layout, words, j->input->state_in, &j->first, j->state));
    flt_optimizer_horizon(j->optimizer, j->first + j->steps);
    return FLTE_OK;
}

static void step_all(job *j) {
    for (size_t t = 0; t < j->steps; t++) {
        for (size_t i = 0; i < j->layout.n; i++) {
            const flt_tensor_spec *s = &j->layout.tensor[i];
            memcpy(j->grad + s->offset, j->grads + j->steps * s->offset + t * s->count, s->count * sizeof *j->grad);
        }
        flt_optimizer_step(j->optimizer, j->first + t, 0, j->grad, j->param, j->state);
        for (size_t i = 0; i < j->layout.n; i++) {
            const flt_tensor_spec *s = &j->layout.tensor[i];
            memcpy(j->trajectory + j->steps * s->offset + t * s->count, j->param + s->offset, s->count * sizeof *j->grad);
        }
    }
}

static flt_err save(job *j) {
    FLTX_TRY(flt_tensor_writer_create(&j->writer));
    for (size_t i = 0; i < j->layout.n; i++) {
        const flt_tensor_spec *s = &j->layout.tensor[i];
        size_t dim[FLTX_MAX_RANK] = {j->steps};
        char name[80];
        memcpy(dim + 1, s->dim, s->rank * sizeof *dim);
        snprintf(name, sizeof name, "param.%s", s->name);
        FLTX_TRY(flt_tensor_writer_real(j->writer, name, s->rank + 1, dim, j->trajectory + j->steps * s->offset));
    }
    FLTX_TRY(flt_tensor_writer_meta(j->writer, "optimizer", j->input->optimizer));
    FLTX_TRY(flt_tensor_writer_save(j->writer, j->input->out));
    if (j->input->state_out == NULL) return FLTE_OK;
    const size_t words = flt_optimizer_state_words(j->optimizer);
    return flt_state_save(&j->weights, &j->layout, words, j->first + j->steps, j->state, j->input->state_out);
}

static flt_err check_finite(const job *j) {
    if (!flt_all_finite(j->layout.total * j->steps, j->trajectory, NULL))
        return flt_fail(FLTE_NUMERIC, "replay", "%s left the finite numbers; nothing was written", j->input->optimizer);
    return FLTE_OK;
}

static flt_err replay(job *j) {
    FLTX_TRY(flt_write_possible(j->input->out));
    if (j->input->state_out != NULL) FLTX_TRY(flt_write_possible(j->input->state_out));
    FLTX_TRY(plan(j));
    FLTX_TRY(start(j));
    step_all(j);
    FLTX_TRY(check_finite(j));
    return save(j);
}

static void release(job *j) {
    flt_tensor_writer_destroy(j->writer);
    flt_optimizer_destroy(j->optimizer);
    flt_weights_free(&j->weights);
    flt_params_destroy(j->params);
    flt_layout_free(&j->layout);
    flt_tensors_destroy(j->file);
    flt_free(j->grads);
    flt_free(j->trajectory);
    flt_free(j->param);
    flt_free(j->grad);
    flt_free(j->state);
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "OPTIMIZER --in IN.safetensors --out OUT.safetensors",
                                     "Steps an optimizer along a sequence of gradients of your own, so that its trajectory can "
                                     "be held against any other code.\v"
                                     "example:\n  flt replay adam --in grads.safetensors --out path.safetensors --set lr=0.01",
                                     children,
                                     NULL,
                                     NULL};
    input in = {.common = flt_common_defaults()};
    flt_parse(&argp, argc, argv, &in);
    job j = {.input = &in};
    const flt_err err = replay(&j);
    release(&j);
    return flt_report("replay", err);
}

const flt_verb_kind flt_verb_kind_replay = {
    .kind = {.name = "replay", .summary = "step an optimizer along gradients of your own"}, .run = run};
