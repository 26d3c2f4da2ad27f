// SPDX-License-Identifier: MIT
// Nodes: creation, sharing of equal ones, leaves, queries.
#include "graph/engine/graph.h"

#include <stdio.h>
#include <string.h>

#include "flt/memory.h"

enum { FIRST_BUCKETS = 64 };

static flt_err make_buckets(size_t n, int32_t **out) {
    FLTX_TRY(flt_alloc(n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) (*out)[i] = -1;
    return FLTE_OK;
}

flt_err flt_graph_create(flt_graph **out) {
    FLTX_GIVEN(out);
    flt_graph *g = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *g, &g));
    FLTX_GO(err, fail, make_buckets(FIRST_BUCKETS, &g->bucket));
    g->buckets = FIRST_BUCKETS;
    *out = g;
    return FLTE_OK;
fail:
    flt_graph_destroy(g);
    return err;
}

static void destroy_vertex(flt_vertex *v) {
    if (v == NULL) return;
    flt_free(v->in);
    flt_free(v->name);
    flt_free(v->data);
    flt_free(v);
}

void flt_graph_destroy(flt_graph *g) {
    if (g == NULL) return;
    for (size_t i = 0; i < g->n; i++) destroy_vertex(g->vertex[i]);
    for (size_t i = 0; i < g->n_owned; i++) g->owned[i].destroy(g->owned[i].data);
    flt_free(g->owned);
    flt_free(g->vertex);
    flt_free(g->bucket);
    flt_free(g);
}

flt_err flt_graph_own(flt_graph *g, void *data, void (*destroy)(void *)) {
    flt_owned *grown = NULL;
    const flt_err err = flt_alloc(g->n_owned + 1, sizeof *grown, &grown);
    if (err != FLTE_OK) {
        destroy(data);
        flt_graph_fail(g, err);
        return err;
    }
    if (g->n_owned > 0) memcpy(grown, g->owned, g->n_owned * sizeof *grown);
    grown[g->n_owned++] = (flt_owned){data, destroy};
    flt_free(g->owned);
    g->owned = grown;
    return FLTE_OK;
}

flt_node flt_graph_fail(flt_graph *g, flt_err err) {
    if (g != NULL && g->err == FLTE_OK) {
        g->err = err;
        snprintf(g->sentence, sizeof g->sentence, "%s", flt_error());
    }
    return flt_bad;
}

flt_node flt_graph_lacks(flt_graph *g, const char *who, const char *what) {
    return flt_graph_fail(g, flt_fail(FLTE_USAGE, who, "%s is NULL", what));
}

flt_err flt_graph_status(const flt_graph *g) {
    FLTX_GIVEN(g);
    if (g->err == FLTE_OK) return FLTE_OK;
    const char *colon = strstr(g->sentence, ": "); // "who: sentence", as flt_fail made it
    if (colon == NULL) return flt_fail(g->err, "graph", "%s", g->sentence);
    char who[128];
    snprintf(who, sizeof who, "%.*s", (int)(colon - g->sentence), g->sentence);
    return flt_fail(g->err, who, "%s", colon + 2);
}

// ---- queries

bool flt_graph_failed(const flt_graph *g) {
    return g == NULL || g->err != FLTE_OK;
}

bool flt_node_ok(const flt_graph *g, flt_node x) {
    return g != NULL && x.id >= 0 && (size_t)x.id < g->n;
}

const flt_vertex *flt_graph_vertex(const flt_graph *g, flt_node x) {
    static const flt_vertex bad = {0};
    return flt_node_ok(g, x) ? g->vertex[x.id] : &bad;
}

const flt_shape *flt_node_shape(const flt_graph *g, flt_node x) {
    return &flt_graph_vertex(g, x)->shape;
}
size_t flt_node_rank(const flt_graph *g, flt_node x) {
    return flt_node_shape(g, x)->rank;
}
const size_t *flt_node_dim(const flt_graph *g, flt_node x) {
    return flt_node_shape(g, x)->dim;
}
size_t flt_node_count(const flt_graph *g, flt_node x) {
    return flt_node_shape(g, x)->count;
}
bool flt_node_is(const flt_graph *g, flt_node x, const flt_op_kind *k) {
    return flt_graph_vertex(g, x)->kind == k;
}
const flt_op_attr *flt_node_attr(const flt_graph *g, flt_node x) {
    return &flt_graph_vertex(g, x)->attr;
}

flt_node flt_node_input(const flt_graph *g, flt_node x, size_t k) {
    const flt_vertex *v = flt_graph_vertex(g, x);
    return k < v->n ? v->in[k] : flt_bad;
}

bool flt_node_uniform(const flt_graph *g, flt_node x, double *value) {
    while (flt_node_is(g, x, &flt_op_kind_broadcast) || flt_node_is(g, x, &flt_op_kind_reshape)) x = flt_node_input(g, x, 0);
    const flt_vertex *v = flt_graph_vertex(g, x);
    if (v->data == NULL) return false;
    for (size_t i = 1; i < v->shape.count; i++)
        if (v->data[i] != v->data[0]) return false;
    *value = (double)v->data[0];
    return v->data[0] == v->data[0];
}

// ---- adding

static uint64_t mix(uint64_t h, const void *data, size_t bytes) { // FNV-1a
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_of(const flt_vertex *v) {
    uint64_t h = mix(0xcbf29ce484222325u, &v->kind, sizeof(void *));
    h = mix(h, &v->attr, sizeof v->attr);
    h = mix(h, v->shape.dim, v->shape.rank * sizeof *v->shape.dim);
    for (size_t i = 0; i < v->n; i++) h = mix(h, &v->in[i].id, sizeof v->in[i].id);
    if (v->data != NULL) h = mix(h, v->data, v->shape.count * sizeof *v->data);
    return h;
}

static bool attr_equal(const flt_op_attr *a, const flt_op_attr *b) {
    return a->value == b->value && a->axis == b->axis && a->start == b->start && a->length == b->length && a->rank == b->rank &&
           memcmp(a->dim, b->dim, sizeof a->dim) == 0 && a->axes == b->axes && a->flags == b->flags && a->spec == b->spec;
}

static bool same(const flt_vertex *a, const flt_vertex *b) {
    if (a->hash != b->hash || a->kind != b->kind || a->n != b->n || !flt_shape_equal(&a->shape, &b->shape)) return false;
    if (a->name != NULL || b->name != NULL || (a->data == NULL) != (b->data == NULL)) return false; // inputs are never shared
    if (a->data != NULL && memcmp(a->data, b->data, a->shape.count * sizeof *a->data) != 0) return false;
    if (!attr_equal(&a->attr, &b->attr)) return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->in[i].id != b->in[i].id) return false;
    return true;
}

static void chain(flt_graph *g, int32_t id) {
    int32_t *head = &g->bucket[g->vertex[id]->hash & (g->buckets - 1)];
    g->vertex[id]->next = *head;
    *head = id;
}

static flt_err grow(flt_graph *g) {
    flt_vertex **vertex = NULL;
    int32_t *bucket = NULL;
    const size_t room = g->room == 0 ? FIRST_BUCKETS : 2 * g->room;
    if (room > INT32_MAX) return flt_fail(FLTE_RANGE, "graph", "%zu nodes; allowed: below 2^31", g->n);
    FLTX_TRY(flt_alloc(room, sizeof(flt_vertex *), &vertex));
    const flt_err err = make_buckets(room, &bucket);
    if (err != FLTE_OK) {
        flt_free(vertex);
        return err;
    }
    if (g->n > 0) memcpy(vertex, g->vertex, g->n * sizeof(flt_vertex *));
    flt_free(g->vertex);
    flt_free(g->bucket);
    g->vertex = vertex;
    g->bucket = bucket;
    g->room = g->buckets = room;
    for (size_t i = 0; i < g->n; i++) chain(g, (int32_t)i);
    return FLTE_OK;
}

// Takes v over: it becomes a node, or is destroyed where an equal node exists or memory runs out.
static flt_node adopt(flt_graph *g, flt_vertex *v) {
    v->hash = hash_of(v);
    for (int32_t i = g->bucket[v->hash & (g->buckets - 1)]; i >= 0; i = g->vertex[i]->next) {
        if (!same(v, g->vertex[i])) continue;
        destroy_vertex(v);
        return (flt_node){i};
    }
    const flt_err err = g->n == g->room ? grow(g) : FLTE_OK;
    if (err != FLTE_OK) {
        destroy_vertex(v);
        return flt_graph_fail(g, err);
    }
    const int32_t id = (int32_t)g->n++;
    g->vertex[id] = v;
    chain(g, id);
    return (flt_node){id};
}

static flt_err make_vertex(const flt_shape *shape, size_t n, const flt_node *in, flt_vertex **out) {
    flt_vertex *v = NULL;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *v, &v));
    v->shape = *shape;
    v->n = n;
    const flt_err err = n == 0 ? FLTE_OK : flt_alloc(n, sizeof *v->in, &v->in);
    if (err != FLTE_OK) {
        destroy_vertex(v);
        return err;
    }
    if (n > 0) memcpy(v->in, in, n * sizeof *in);
    *out = v;
    return FLTE_OK;
}

flt_node flt_graph_add(flt_graph *g, const flt_op_kind *k, size_t n, const flt_node *in, const flt_op_attr *attr,
                       const flt_shape *shape) {
    flt_vertex *v = NULL;
    const flt_err err = make_vertex(shape, n, in, &v);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    v->kind = k;
    v->attr = *attr;
    return adopt(g, v);
}

// ---- leaves

flt_node flt_input(flt_graph *g, const char *name, size_t rank, const size_t *dim) {
    flt_vertex *v = NULL;
    flt_shape shape;
    if (flt_graph_failed(g)) return flt_bad;
    if (name == NULL) return flt_graph_lacks(g, "input", "name");
    flt_err err = flt_shape_set("input", rank, dim, &shape);
    if (err != FLTE_OK) return flt_graph_fail(g, flt_context(err, "input '%.64s'", name));
    err = make_vertex(&shape, 0, NULL, &v);
    if (err == FLTE_OK) err = flt_strdup(name, &v->name);
    if (err == FLTE_OK) return adopt(g, v);
    destroy_vertex(v);
    return flt_graph_fail(g, err);
}

flt_node flt_constant(flt_graph *g, size_t rank, const size_t *dim, const flt_real *data) {
    flt_vertex *v = NULL;
    flt_shape shape;
    if (flt_graph_failed(g)) return flt_bad;
    if (data == NULL) return flt_graph_lacks(g, "constant", "data");
    flt_err err = flt_shape_set("constant", rank, dim, &shape);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    err = make_vertex(&shape, 0, NULL, &v);
    if (err == FLTE_OK) err = flt_alloc(shape.count, sizeof *v->data, &v->data);
    if (err != FLTE_OK) {
        destroy_vertex(v);
        return flt_graph_fail(g, err);
    }
    memcpy(v->data, data, shape.count * sizeof *data);
    return adopt(g, v);
}

flt_node flt_scalar(flt_graph *g, double x) {
    const flt_real value = (flt_real)x;
    return flt_constant(g, 0, NULL, &value);
}
