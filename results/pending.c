// SPDX-License-Identifier: MIT
// Rows that wait for the next transaction, in three fixed arrays: rows, their cells, the cells' texts. Adding a row allocates
// nothing.
#include <math.h>
#include <string.h>

#include "store.h"

bool flt_pending_fits(const flt_pending *p, size_t cells, size_t text_bytes) {
    return p->n_rows < FLTX_PENDING_ROWS && FLTX_PENDING_CELLS - p->n_cells >= cells &&
           FLTX_PENDING_TEXT - p->n_text >= text_bytes;
}

size_t flt_fields_text(size_t n, const flt_field *fields) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        if (fields[i].is_text && fields[i].text != NULL) bytes += strlen(fields[i].text) + 1;
    return bytes;
}

static flt_cell text_cell(flt_pending *p, const char *text) {
    if (text == NULL) return (flt_cell){.type = FLTX_CELL_NULL};
    const size_t bytes = strlen(text) + 1, at = p->n_text;
    memcpy(p->text + at, text, bytes);
    p->n_text += bytes;
    return (flt_cell){.type = FLTX_CELL_TEXT, .u.text = at};
}

// A number that is not finite stays a REAL cell in an integer column too: the writer turns it into NULL and names it.
static flt_err number_cell(const flt_record_kind *k, const flt_column *c, double x, flt_cell *out) {
    const bool whole = isfinite(x) && x == trunc(x) && fabs(x) < 0x1p63;
    if (c->type == FLTX_COL_INT && !whole && (isfinite(x) || k->table == NULL)) // a curve has no `special` for its step
        return flt_fail(FLTE_INTERNAL, "results", "field '%s' of a record of kind '%s' is %.17g; it takes an integer", c->name,
                        k->name, x);
    *out = c->type == FLTX_COL_INT && whole ? (flt_cell){.type = FLTX_CELL_INT, .u.i = (long long)x}
                                            : (flt_cell){.type = FLTX_CELL_REAL, .u.r = x};
    return FLTE_OK;
}

static flt_err field_cell(flt_pending *p, const flt_record_kind *k, const flt_field *field, flt_cell *cells) {
    size_t i = 0;
    FLTX_TRY(flt_record_column(k, field->name, &i));
    const flt_column *c = &k->columns[i];
    if (field->is_text != (c->type == FLTX_COL_TEXT))
        return flt_fail(FLTE_INTERNAL, "results", "field '%s' of a record of kind '%s' is a %s; it takes a %s", field->name,
                        k->name, field->is_text ? "text" : "number", field->is_text ? "number" : "text");
    if (!field->is_text) return number_cell(k, c, field->number, &cells[i]);
    cells[i] = text_cell(p, field->text);
    return FLTE_OK;
}

// The row counts only once its fields are in.
static void commit(flt_pending *p, flt_record_id record, long long t_ms, size_t cells) {
    p->rows[p->n_rows++] = (flt_pending_row){.record = record, .first = p->n_cells, .t_ms = t_ms};
    p->n_cells += cells;
}

flt_err flt_pending_fields(flt_pending *p, const flt_record_kind *kinds, flt_record_id record, long long t_ms, size_t n,
                           const flt_field *fields) {
    const flt_record_kind *k = &kinds[record];
    const size_t text = p->n_text;
    flt_cell *cells = p->cells + p->n_cells;
    memset(cells, 0, k->n_columns * sizeof *cells); // FLTX_CELL_NULL
    for (size_t i = 0; i < n; i++) {
        const flt_err err = field_cell(p, k, &fields[i], cells);
        if (err == FLTE_OK) continue;
        p->n_text = text;
        return err;
    }
    commit(p, record, t_ms, k->n_columns);
    return FLTE_OK;
}

void flt_pending_metric(flt_pending *p, long long t_ms, const char *name, long long step, double value) {
    flt_cell *cells = p->cells + p->n_cells;
    cells[0] = text_cell(p, name);
    cells[1] = cells[2] = cells[3] = (flt_cell){.type = FLTX_CELL_NULL};
    cells[4] = (flt_cell){.type = FLTX_CELL_INT, .u.i = step};
    cells[5] = (flt_cell){.type = FLTX_CELL_REAL, .u.r = value};
    commit(p, FLTX_REC_CURVE, t_ms, 6);
}
