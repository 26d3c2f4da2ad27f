// SPDX-License-Identifier: MIT
// SPE by convolution in primitive ops, with the plan's noise.
//
//   code[d, i, r] = sum_t filter[d, t] noise[r, d, width + p_i + t], as a matrix product [N, cells] [cells, R] a feature, whose
//   left side holds the taps where token i has them and zeros elsewhere
//
// O(d N (cells + R)) memory beside engine/form_code.c; cells: of the grid, filters' rims included.
#include "graph/engine/form.h"

#include "attention/engine/grid.h"

#include "flt/memory.h"

#include <string.h>

typedef struct field {
    flt_att_grid grid;
    flt_attention_arg noise; // [R, d, ..] or [H, R, d, ..]
    size_t d, R, taps, lead; // lead: axes of heads in front of the noise
} field;

// ---- the grid, as the plan lays it

static flt_err read_axes(const flt_attend_spec *s, const flt_attention_desc *desc, const flt_att_positions *pos, field *f) {
    flt_attention_arg filter;
    f->grid.N = s->N, f->d = s->d, f->taps = 1;
    FLTX_TRY(flt_att_grid_axes(desc, pos, &f->grid));
    if (!flt_form_values(s, "filter_q", &filter) || !flt_form_values(s, "noise", &f->noise))
        return flt_fail(FLTE_INTERNAL, s->kind->kind.name, "its plan shows no filters");
    for (size_t a = 0; a < f->grid.l; a++) f->taps *= f->grid.width[a] = filter.dim[filter.rank - f->grid.l + a];
    f->lead = f->noise.rank - 2 - f->grid.l;
    f->R = f->noise.dim[f->lead];
    FLTX_TRY(flt_att_grid_guess(desc, &f->grid));
    return flt_att_grid_place(desc, pos, &f->grid);
}

static flt_err read_field(const flt_attend_spec *s, field *f) {
    flt_attention_arg *args = NULL;
    flt_attention_desc desc;
    flt_att_positions pos = {0};
    flt_err err = flt_attend_describe(s, &args, &desc);
    if (err == FLTE_OK) err = flt_att_positions_read(&desc, &pos);
    if (err == FLTE_OK) err = read_axes(s, &desc, &pos, f);
    flt_att_drop(&pos.array);
    flt_free(args);
    return err;
}

// ---- what is constant

// Where the noise of cell `at` stands in its array: behind the first `width` of every axis.
static size_t stored_at(const field *f, size_t at) {
    size_t step = 1, stored = 0;
    for (size_t a = f->grid.l; a-- > 0; at /= f->grid.length[a]) {
        stored += (at % f->grid.length[a] + f->grid.width[a]) * step;
        step *= f->noise.dim[f->lead + 2 + a];
    }
    return stored;
}

// [d, cells, R], or [H, ..]
static flt_node noise_of(flt_graph *g, const flt_attend_spec *s, const field *f) {
    const size_t heads = f->lead == 0 ? 1 : s->H, each = flt_att_cells(f->grid.l, f->noise.dim + f->lead + 2);
    const size_t cells = f->grid.cells, dim[] = {heads, f->d, cells, f->R};
    double *x = NULL;
    const flt_err err = flt_alloc(heads * f->d, cells * f->R * sizeof *x, &x);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < heads * f->d * cells * f->R; i++) {
        const size_t r = i % f->R, cell = i / f->R % cells, c = i / f->R / cells % f->d, h = i / f->R / cells / f->d;
        x[i] = f->noise.data[((h * f->R + r) * f->d + c) * each + stored_at(f, cell)];
    }
    const flt_node node = flt_form_constant(g, f->lead == 0 ? 3 : 4, f->lead == 0 ? dim + 1 : dim, x);
    flt_free(x);
    return flt_form_heads(g, s, node, 3);
}

// Which tap of its filter token i has on each cell, `taps` where none: [N cells].
static flt_node taps_of(flt_graph *g, const field *f) {
    const flt_att_grid *p = &f->grid;
    const size_t count = p->N * p->cells;
    double *index = NULL;
    const flt_err err = flt_alloc(count, sizeof *index, &index);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < count; i++) index[i] = (double)f->taps;
    for (size_t i = 0; i < p->N; i++)
        for (size_t t = 0; t < f->taps; t++) {
            size_t step = 1, cell = p->cell[i];
            for (size_t a = p->l, o = t; a-- > 0; o /= p->width[a], step *= p->length[a]) cell += o % p->width[a] * step;
            index[i * p->cells + cell] = (double)t;
        }
    const flt_node node = flt_form_constant(g, 1, &count, index);
    flt_free(index);
    return node;
}

// ---- the codes

static flt_node code_of(flt_graph *g, const flt_attend_spec *s, const field *f, flt_node filter, flt_node noise, flt_node taps) {
    const size_t H = s->H, N = s->N, cells = f->grid.cells;
    const flt_node flat = flt_reshape(g, flt_form_heads(g, s, filter, 1 + f->grid.l), 3, (size_t[]){H, f->d, f->taps});
    const flt_node table = flt_pad(g, flt_transpose(g, flat, (size_t[]){2, 0, 1}), 0, 0, 1); // [taps + 1, H, d], the last zero
    const flt_node rows = flt_transpose(g, flt_gather(g, table, taps), (size_t[]){1, 2, 0});
    const flt_node band = flt_reshape(g, rows, 4, (size_t[]){H, f->d, N, cells});
    return flt_transpose(g, flt_matmul(g, band, noise, false, false), (size_t[]){0, 2, 1, 3});
}

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    static const char *const sides[2] = {"filter_q", "filter_k"};
    field f = {0};
    flt_node code[2] = {flt_bad, flt_bad};
    const flt_err err = read_field(s, &f);
    if (err == FLTE_OK) {
        const flt_node noise = noise_of(g, s, &f), taps = taps_of(g, &f);
        for (size_t i = 0; i < 2; i++) code[i] = code_of(g, s, &f, flt_form_argument(g, s, in, sides[i]), noise, taps);
    }
    flt_free(f.grid.cell);
    return err == FLTE_OK ? flt_form_coded(g, s, in, code) : flt_graph_fail(g, err);
}

static const char *const learned[] = {"filter_q", "filter_k", "share", "omega", NULL};

const flt_form_kind flt_form_kind_spe_conv = {
    .kind = {.name = "spe_conv", .summary = "codes of filtered noise", .formula = "A_ij ~ exp(qhat_i.khat_j / sqrt R)"},
    .learned = learned,
    .build = build,
};
