// SPDX-License-Identifier: MIT
// Weights of learned optimizers as safetensors files: a tensor per meta-parameter, the hyperparameters as metadata.
#include "flt/memory.h"
#include "flt/optimizer.h"

#include <math.h>
#include <string.h>

// ---- reading

static flt_err check_owner(const char *path, const flt_optimizer_kind *kind, const flt_tensors *file) {
    const char *owner = flt_tensors_meta(file, "optimizer"), *format = flt_tensors_meta(file, "format");
    if (format != NULL && strncmp(format, "flt ", 4) == 0) // other programs write formats of their own there
        return flt_fail(FLTE_FORMAT, path, "is a file of '%.60s'; the weights are in what --out named", format);
    if (owner == NULL || strcmp(owner, kind->kind.name) == 0) return FLTE_OK;
    return flt_fail(FLTE_FORMAT, path, "holds weights of the optimizer '%.40s'; '%s' is expected", owner, kind->kind.name);
}

// A choice says what the weights are: one that contradicts the file is refused. Numbers the caller may set anew.
static flt_err refuse_choice(const char *path, const flt_param_spec *s, const char *text, const flt_params *p) {
    const char *asked = s->type == FLTX_ENUM ? flt_params_text(p, s->name) : NULL;
    if (s->type != FLTX_ENUM || text == NULL || strcmp(text, asked) == 0) return FLTE_OK;
    return flt_fail(FLTE_USAGE, path, "was made with %s=%.40s; %s=%.40s was asked for: leave it out, or take other weights",
                    s->name, text, s->name, asked);
}

// What the caller set stays, then the file's metadata count, then the defaults.
static flt_err take_metadata(const char *path, const flt_tensors *file, flt_params *p) {
    for (const flt_param_spec *s = flt_params_specs(p); s != NULL && s->name != NULL; s++) {
        const char *text = flt_tensors_meta(file, s->name);
        const bool own = flt_tensors_meta(file, "optimizer") != NULL;
        if (flt_params_is_set(p, s->name)) { // a file of ours without the key is older than the choice: its default holds
            if (text != NULL || own) FLTX_TRY(refuse_choice(path, s, text != NULL ? text : s->initial, p));
            continue;
        }
        if (text == NULL) continue;
        const flt_err err = flt_params_set(p, s->name, text);
        if (err != FLTE_OK) return flt_context(err, "the metadata of %s ask for it", path);
    }
    return FLTE_OK;
}

static flt_err refuse_extra(const char *path, const flt_tensors *file, const flt_layout *layout) {
    for (size_t i = 0; i < flt_tensors_count(file); i++) {
        const char *name = flt_tensors_at(file, i)->name;
        if (flt_layout_find(layout, name) == NULL)
            return flt_fail(FLTE_FORMAT, path, "holds a tensor %.80s that the optimizer does not have", name);
    }
    return FLTE_OK;
}

static flt_err read_tensor(const char *path, const flt_tensors *file, const flt_tensor_spec *want, flt_real *theta) {
    const flt_tensor *t = flt_tensors_find(file, want->name);
    if (t == NULL) return flt_fail(FLTE_FORMAT, path, "has no tensor %s", want->name);
    FLTX_TRY(flt_tensor_expect(path, t, want->rank, want->dim));
    FLTX_TRY(flt_tensor_finite(path, t));
    flt_tensor_to_real(t, theta + want->offset);
    for (size_t i = 0; i < want->count; i++)
        if (!isfinite((double)theta[want->offset + i]))
            return flt_fail(FLTE_NUMERIC, path, "tensor %s: element %zu does not fit in single precision", want->name, i);
    return FLTE_OK;
}

static flt_err read_all(const char *path, const flt_tensors *file, flt_weights *w) {
    FLTX_TRY(check_owner(path, w->kind, file));
    FLTX_TRY(take_metadata(path, file, w->params));
    flt_err err = w->kind->infer(file, w->params);
    if (err == FLTE_OK) err = w->kind->meta(w->params, &w->layout);
    if (err != FLTE_OK) return flt_context(err, "reading %s", path);
    FLTX_TRY(refuse_extra(path, file, &w->layout));
    FLTX_TRY(flt_alloc(w->layout.total, sizeof *w->theta, &w->theta));
    for (size_t i = 0; i < w->layout.n; i++) FLTX_TRY(read_tensor(path, file, &w->layout.tensor[i], w->theta));
    return FLTE_OK;
}

static flt_err load_file(const char *path, flt_weights *w) {
    flt_tensors *file = NULL;
    if (w->kind->meta == NULL)
        return flt_fail(FLTE_UNSUPPORTED, w->kind->kind.name, "is not learned and takes no weights; %s was given", path);
    FLTX_TRY(flt_tensors_read(path, &file));
    const flt_err err = read_all(path, file, w);
    flt_tensors_destroy(file);
    return err;
}

static flt_err start(uint64_t seed, flt_weights *w) {
    if (w->kind->meta == NULL) return FLTE_OK; // no meta-parameters: the parameters are all there is
    FLTX_TRY(w->kind->meta(w->params, &w->layout));
    FLTX_TRY(flt_alloc(w->layout.total, sizeof *w->theta, &w->theta));
    w->kind->meta_init(w->params, seed, w->theta);
    return FLTE_OK;
}

static flt_err own_params(const flt_optimizer_kind *kind, const flt_params *params, flt_params **out) {
    if (params == NULL) return flt_params_create(kind->kind.name, kind->kind.params, out);
    if (flt_params_specs(params) == kind->kind.params) return flt_params_clone(params, out);
    return flt_fail(FLTE_USAGE, kind->kind.name, "was given parameters made for another kind; make them from its own table");
}

flt_err flt_weights_load(const flt_optimizer_kind *kind, const flt_params *params, const char *path, uint64_t seed,
                         flt_weights *out) {
    FLTX_GIVEN(kind, out);
    *out = (flt_weights){.kind = kind};
    flt_err err = own_params(kind, params, &out->params);
    if (err == FLTE_OK) err = path == NULL ? start(seed, out) : load_file(path, out);
    if (err != FLTE_OK) flt_weights_free(out);
    return err;
}

void flt_weights_free(flt_weights *w) {
    if (w == NULL) return;
    flt_params_destroy(w->params);
    flt_layout_free(&w->layout);
    flt_free(w->theta);
    *w = (flt_weights){0};
}

// ---- writing

static flt_err write_all(flt_tensor_writer *file, const flt_weights *w) {
    FLTX_TRY(flt_tensor_writer_meta(file, "optimizer", w->kind->kind.name));
    for (const flt_param_spec *s = flt_params_specs(w->params); s != NULL && s->name != NULL; s++)
        if (flt_params_has(w->params, s->name))
            FLTX_TRY(flt_tensor_writer_meta(file, s->name, flt_params_text(w->params, s->name)));
    for (size_t i = 0; i < w->layout.n; i++) {
        const flt_tensor_spec *t = &w->layout.tensor[i];
        FLTX_TRY(flt_tensor_writer_real(file, t->name, t->rank, t->dim, w->theta + t->offset));
    }
    return FLTE_OK;
}

flt_err flt_weights_save(const flt_weights *w, const char *path) {
    FLTX_GIVEN(w, path);
    FLTX_GIVEN(w->kind);
    flt_tensor_writer *file = NULL;
    if (w->kind->meta == NULL) return flt_fail(FLTE_UNSUPPORTED, w->kind->kind.name, "is not learned and has no weights to save");
    FLTX_TRY(flt_tensor_writer_create(&file));
    flt_err err = write_all(file, w);
    if (err == FLTE_OK) err = flt_tensor_writer_save(file, path);
    flt_tensor_writer_destroy(file);
    return err;
}
