// SPDX-License-Identifier: MIT
// Engines: what the steps of an executor share beside memory, one for each spec of its live nodes.
#include "graph/engine/exec.h"

static flt_exec_engine *find(const flt_exec *e, const void *spec) {
    for (size_t i = 0; i < e->n_engines; i++)
        if (e->engine[i].spec == spec) return &e->engine[i];
    return NULL;
}

void *flt_exec_engine_of(const flt_exec *e, const void *spec) {
    const flt_exec_engine *found = find(e, spec);
    return found == NULL ? NULL : found->self;
}

// All uses are known before the first engine opens.
static void collect(flt_exec *e, const flt_graph *g, const bool *live) {
    for (size_t i = 0; i < g->n; i++) {
        const flt_vertex *v = g->vertex[i];
        if (!live[i] || v->kind == NULL || v->kind->engine == NULL) continue;
        flt_exec_engine *found = find(e, v->attr.spec);
        if (found == NULL) {
            found = &e->engine[e->n_engines++];
            *found = (flt_exec_engine){.spec = v->attr.spec, .kind = v->kind->engine};
        }
        found->uses |= v->kind->use;
    }
}

flt_err flt_exec_open_engines(flt_exec *e, const flt_graph *g, const bool *live) {
    size_t most = 0;
    for (size_t i = 0; i < g->n; i++) most += live[i] && g->vertex[i]->kind != NULL && g->vertex[i]->kind->engine != NULL;
    if (most == 0) return FLTE_OK;
    FLTX_TRY(flt_alloc(most, sizeof *e->engine, &e->engine));
    collect(e, g, live);
    for (size_t i = 0; i < e->n_engines; i++)
        FLTX_TRY(e->engine[i].kind->open(e->engine[i].spec, e->engine[i].uses, &e->engine[i].self));
    return FLTE_OK;
}

void flt_exec_close_engines(flt_exec *e) {
    for (size_t i = 0; i < e->n_engines; i++)
        if (e->engine[i].self != NULL) e->engine[i].kind->close(e->engine[i].self);
}
