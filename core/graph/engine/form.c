// SPDX-License-Identifier: MIT
// Forms: finding them, and their arguments as nodes; see form.h.
#include "graph/engine/form.h"

#include "attention/engine/encoding.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// ---- finding

static const flt_form_kind *form_of(const char *mechanism) {
    const flt_registry *r = flt_form_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        if (strcmp(r->kinds[i]->name, mechanism) == 0) return (const flt_form_kind *)r->kinds[i]; // flt_kind is its first member
    return NULL;
}

bool flt_attend_twice(const char *mechanism) {
    return form_of(mechanism) != NULL;
}

static void list_names(char *text, size_t size) {
    const flt_registry *r = flt_form_registry();
    size_t used = 0;
    for (size_t i = 0; r->kinds[i] != NULL && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", r->kinds[i]->name);
}

static flt_err check_learned(const flt_attend_spec *s, const flt_form_kind *form) {
    for (size_t i = 0; i < s->n_learned; i++) {
        const char *name = s->value[s->n_fixed + i].name;
        char list[160] = "none";
        size_t k = 0, used = 0;
        for (; form->learned[k] != NULL && strcmp(form->learned[k], name) != 0; k++)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", k > 0 ? ", " : "", form->learned[k]);
        if (form->learned[k] == NULL)
            return flt_fail(FLTE_UNSUPPORTED, s->kind->kind.name, "no second derivative in the argument '%s'; it has them in: %s",
                            name, list);
    }
    return FLTE_OK;
}

flt_node flt_form_build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_form_kind *form = form_of(s->kind->kind.name);
    char names[160];
    if (form != NULL) {
        const flt_err err = check_learned(s, form);
        return err == FLTE_OK ? form->build(g, s, in) : flt_graph_fail(g, err);
    }
    list_names(names, sizeof names);
    return flt_graph_fail(
        g, flt_fail(FLTE_UNSUPPORTED, s->kind->kind.name, "it has no second derivatives; these mechanisms have them: %s", names));
}

// ---- arguments

flt_node flt_form_constant(flt_graph *g, size_t rank, const size_t *dim, const double *data) {
    flt_real *copy = NULL;
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= dim[i];
    const flt_err err = flt_alloc(n, sizeof *copy, &copy);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < n; i++) copy[i] = (flt_real)data[i];
    const flt_node node = flt_constant(g, rank, dim, copy);
    flt_free(copy);
    return node;
}

bool flt_form_values(const flt_attend_spec *s, const char *name, flt_attention_arg *out) {
    flt_attention_arg drawn[FLTX_FORM_DRAWS];
    for (size_t i = 0; i < s->n_fixed + s->n_learned; i++) {
        const flt_attend_value *v = &s->value[i];
        if (strcmp(v->name, name) != 0) continue;
        *out = (flt_attention_arg){.name = v->name, .rank = v->rank, .data = v->data};
        memcpy(out->dim, v->dim, sizeof out->dim);
        return true;
    }
    const size_t n = flt_attention_draws(s->probe, FLTX_FORM_DRAWS, drawn);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(drawn[i].name, name) != 0) continue;
        *out = drawn[i];
        return true;
    }
    return false;
}

flt_node flt_form_argument(flt_graph *g, const flt_attend_spec *s, const flt_node *in, const char *name) {
    flt_attention_arg arg;
    for (size_t i = 0; i < s->n_learned; i++)
        if (strcmp(s->value[s->n_fixed + i].name, name) == 0) return in[3 + i];
    if (!flt_form_values(s, name, &arg)) return flt_none;
    return flt_form_constant(g, arg.rank, arg.dim, arg.data);
}

flt_node flt_form_heads(flt_graph *g, const flt_attend_spec *s, flt_node x, size_t rank) {
    size_t dim[FLTX_MAX_RANK] = {s->H};
    if (x.id < 0 || flt_node_rank(g, x) == rank + 1) return x;
    memcpy(dim + 1, flt_node_dim(g, x), rank * sizeof *dim);
    return flt_broadcast(g, x, rank + 1, dim);
}

flt_node flt_form_positions(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node given = flt_form_argument(g, s, in, "pos");
    double *pos = NULL;
    if (given.id != flt_none.id) return given;
    const flt_err err = flt_alloc(s->N, sizeof *pos, &pos);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < s->N; i++) pos[i] = (double)i;
    const flt_node node = flt_form_constant(g, 2, (size_t[]){s->N, 1}, pos);
    flt_free(pos);
    return node;
}

bool flt_form_chosen(const flt_attend_spec *s, const char *setting, const char *value) {
    return flt_params_has(s->params, setting) && strcmp(flt_params_text(s->params, setting), value) == 0;
}

// ---- encodings

// f [H, N, N], minus infinity as the kernels have it.
static void fill_pairs(const flt_attend_spec *s, const flt_att_positions *pos, const flt_att_encoding *e, double *z, double *f) {
    const size_t N = s->N, l = pos->l;
    for (size_t i = 0; i < N * N * l; i++) z[i] = pos->array.data[i / l / N * l + i % l] - pos->array.data[i / l % N * l + i % l];
    for (size_t h = 0; h < s->H; h++) flt_att_encoding_closed_form(e, h, N * N, z, f + h * N * N);
    for (size_t i = 0; i < s->H * N * N; i++) f[i] = fmax(f[i], -1e30);
}

static flt_err read_pairs(const flt_attend_spec *s, flt_att_positions *pos, flt_att_encoding *e, double **f) {
    flt_attention_arg *args = NULL;
    flt_attention_desc desc;
    double *z = NULL;
    flt_err err = flt_attend_describe(s, &args, &desc);
    if (err == FLTE_OK) err = flt_att_positions_read(&desc, pos);
    if (err == FLTE_OK) err = flt_att_encoding_read(&desc, pos, e);
    if (err == FLTE_OK && e->terms > 0) err = flt_alloc(s->N * s->N, pos->l * sizeof *z, &z);
    if (err == FLTE_OK && e->terms > 0) err = flt_alloc(s->H * s->N, s->N * sizeof **f, f);
    if (err == FLTE_OK && e->terms > 0) fill_pairs(s, pos, e, z, *f);
    flt_free(z);
    flt_free(args);
    return err;
}

flt_node flt_form_encoding(flt_graph *g, const flt_attend_spec *s) {
    flt_att_positions pos = {0};
    flt_att_encoding e = {0};
    double *f = NULL;
    const flt_err err = read_pairs(s, &pos, &e, &f);
    flt_node node = err == FLTE_OK ? flt_none : flt_graph_fail(g, err);
    if (f != NULL) node = flt_form_constant(g, 3, (size_t[]){s->H, s->N, s->N}, f);
    flt_free(f);
    flt_att_encoding_drop(&e);
    flt_att_drop(&pos.array);
    return node;
}

// b_{j-i} stands at (j - i) + N - 1.
flt_node flt_form_lags(flt_graph *g, const flt_attend_spec *s, flt_node lags) {
    const size_t N = s->N;
    double *index = NULL;
    const flt_err err = flt_alloc(N, N * sizeof *index, &index);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < N * N; i++) index[i] = (double)(i % N + N - 1 - i / N);
    const flt_node at = flt_form_constant(g, 1, (size_t[]){N * N}, index);
    flt_free(index);
    const flt_node rows = flt_gather(g, flt_transpose(g, flt_form_heads(g, s, lags, 1), (size_t[]){1, 0}), at); // [N N, H]
    return flt_reshape(g, flt_transpose(g, rows, (size_t[]){1, 0}), 3, (size_t[]){s->H, N, N});
}
