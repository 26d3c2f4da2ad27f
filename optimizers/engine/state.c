// SPDX-License-Identifier: MIT
// The state of a run as a safetensors file: one tensor "state", and in the metadata whose it is, of which tensors, after how many
// steps.
#include "flt/memory.h"
#include "flt/optimizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const flt_dtype own_dtype = sizeof(flt_real) == sizeof(double) ? FLTX_F64 : FLTX_F32;

// "weight:4x9,bias:7,scale:" of all tensors; freed with flt_free.
static flt_err describe(const flt_layout *layout, char **out) {
    size_t room = 1, used = 0;
    for (size_t i = 0; i < layout->n; i++) room += strlen(layout->tensor[i].name) + 2 + layout->tensor[i].rank * 21;
    FLTX_TRY(flt_alloc(room, 1, out));
    for (size_t i = 0; i < layout->n; i++) {
        const flt_tensor_spec *t = &layout->tensor[i];
        used += (size_t)snprintf(*out + used, room - used, "%s%s:", i > 0 ? "," : "", t->name);
        for (size_t k = 0; k < t->rank; k++)
            used += (size_t)snprintf(*out + used, room - used, "%s%zu", k > 0 ? "x" : "", t->dim[k]);
    }
    return FLTE_OK;
}

// A choice of a learned optimizer says what its state holds; a schedule may change on the way.
static bool is_choice(const flt_weights *w, const flt_param_spec *s) {
    return s->type == FLTX_ENUM && (w->kind->kind.caps & FLTX_OPT_LEARNED) != 0;
}

// ---- writing

static flt_err write_all(flt_tensor_writer *file, const flt_weights *w, const char *tensors, uint64_t t, size_t words,
                         const flt_real *state) {
    static const flt_real none = 0; // a state without words is a file as well
    char step[32];
    snprintf(step, sizeof step, "%" PRIu64, t);
    FLTX_TRY(flt_tensor_writer_meta(file, "optimizer", w->kind->kind.name));
    FLTX_TRY(flt_tensor_writer_meta(file, "step", step));
    FLTX_TRY(flt_tensor_writer_meta(file, "tensors", tensors));
    for (const flt_param_spec *s = w->kind->kind.params; s != NULL && s->name != NULL; s++)
        if (is_choice(w, s)) FLTX_TRY(flt_tensor_writer_meta(file, s->name, flt_params_text(w->params, s->name)));
    return flt_tensor_writer_real(file, "state", 1, &words, words > 0 ? state : &none);
}

flt_err flt_state_save(const flt_weights *w, const flt_layout *layout, size_t words, uint64_t t, const flt_real *state,
                       const char *path) {
    FLTX_GIVEN(w, layout, path);
    FLTX_GIVEN(w->kind);
    if (words > 0) FLTX_GIVEN(state);
    flt_tensor_writer *file = NULL;
    char *tensors = NULL;
    flt_err err = describe(layout, &tensors);
    if (err == FLTE_OK) err = flt_tensor_writer_create(&file);
    if (err == FLTE_OK) err = write_all(file, w, tensors, t, words, state);
    if (err == FLTE_OK) err = flt_tensor_writer_save(file, path);
    flt_tensor_writer_destroy(file);
    flt_free(tensors);
    return err;
}

// ---- reading

static flt_err need(const char *path, const flt_tensors *file, const char *key, const char *want) {
    const char *text = flt_tensors_meta(file, key);
    if (text == NULL) return flt_fail(FLTE_FORMAT, path, "is no state of an optimizer: its metadata have no '%s'", key);
    if (strcmp(text, want) == 0) return FLTE_OK;
    return flt_fail(FLTE_USAGE, path, "holds the state of another run: %s is '%.100s', '%.100s' is expected", key, text, want);
}

static flt_err read_step(const char *path, const flt_tensors *file, uint64_t *t) {
    const char *text = flt_tensors_meta(file, "step");
    char *end = NULL;
    *t = text != NULL && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (end != NULL && *end == '\0') return FLTE_OK;
    return flt_fail(FLTE_FORMAT, path, "its metadata have no 'step', a whole number");
}

static flt_err read_all(const char *path, const flt_tensors *file, const flt_weights *w, const char *layout, size_t words,
                        uint64_t *t, flt_real *state) {
    FLTX_TRY(need(path, file, "optimizer", w->kind->kind.name));
    FLTX_TRY(need(path, file, "tensors", layout));
    for (const flt_param_spec *s = w->kind->kind.params; s != NULL && s->name != NULL; s++)
        if (is_choice(w, s)) FLTX_TRY(need(path, file, s->name, flt_params_text(w->params, s->name)));
    FLTX_TRY(read_step(path, file, t));
    const flt_tensor *own = flt_tensors_find(file, "state");
    if (own == NULL) return flt_fail(FLTE_FORMAT, path, "has no tensor state");
    FLTX_TRY(flt_tensor_expect(path, own, 1, &words));
    if (own->dtype != own_dtype)
        return flt_fail(FLTE_UNSUPPORTED, path, "was written by a build of the other precision; states go on in their own");
    if (words > 0) flt_tensor_to_real(own, state);
    return FLTE_OK;
}

flt_err flt_state_load(const flt_weights *w, const flt_layout *layout, size_t words, const char *path, uint64_t *t,
                       flt_real *state) {
    FLTX_GIVEN(w, layout, path, t);
    FLTX_GIVEN(w->kind);
    if (words > 0) FLTX_GIVEN(state);
    flt_tensors *file = NULL;
    char *tensors = NULL;
    FLTX_TRY(flt_tensors_read(path, &file));
    flt_err err = describe(layout, &tensors);
    if (err == FLTE_OK) err = read_all(path, file, w, tensors, words, t, state);
    flt_free(tensors);
    flt_tensors_destroy(file);
    return err;
}
