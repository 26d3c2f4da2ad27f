// SPDX-License-Identifier: MIT
// NULL at every public function of core that returns flt_err, one row an argument; builders of graphs; what is destroyed.
#include "refused.h"

#include "flt/attend.h"
#include "flt/memory.h"
#include "flt/num.h"
#include "flt/objective.h"
#include "flt/tensorfile.h"

static const size_t dim[2] = {2, 3};

static void bind(void *self, flt_ws *ws) {
    (void)self;
    (void)flt_ws_take(ws, 1, 1);
}

Test(base_null, memory_and_parameters) {
    char *text = NULL;
    flt_params *p = NULL;
    double x = 0;
    long long i = 0;
    const flt_kind *kind = NULL;
    flt_ws ws;
    REFUSED("out", flt_alloc(1, 1, NULL));
    REFUSED("text", flt_strdup(NULL, &text));
    REFUSED("out", flt_strdup("a", NULL));
    REFUSED("bind", flt_ws_create(NULL, NULL, &ws));
    REFUSED("out", flt_ws_create(bind, NULL, NULL));
    REFUSED("who", flt_params_create(NULL, NULL, &p));
    REFUSED("out", flt_params_create("a", NULL, NULL));
    REFUSED("from", flt_params_clone(NULL, &p));
    cr_assert(flt_params_create("a", NULL, &p) == FLTE_OK);
    REFUSED("out", flt_params_clone(p, NULL));
    REFUSED("p", flt_params_set(NULL, "a", "1"));
    REFUSED("name", flt_params_set(p, NULL, "1"));
    REFUSED("text", flt_params_set(p, "a", NULL));
    REFUSED("p", flt_params_parse(NULL, ""));
    REFUSED("text", flt_params_parse(p, NULL));
    flt_params_destroy(p);
    REFUSED("who", flt_parse_real(NULL, "1", &x));
    REFUSED("text", flt_parse_real("a", NULL, &x));
    REFUSED("out", flt_parse_real("a", "1", NULL));
    REFUSED("who", flt_parse_int(NULL, "1", &i));
    REFUSED("text", flt_parse_int("a", NULL, &i));
    REFUSED("out", flt_parse_int("a", "1", NULL));
    REFUSED("r", flt_registry_find(NULL, "a", &kind));
    REFUSED("out", flt_registry_find(flt_rpe_registry(), "a", NULL));
    cr_assert(flt_registry_find(flt_rpe_registry(), NULL, &kind) == FLTE_NAME, "a name that was left out is answered with names");
}

Test(base_null, layouts_and_files) {
    flt_layout l = {0};
    flt_tensors *t = NULL;
    flt_tensor_writer *w = NULL;
    unsigned char *bytes = NULL;
    size_t size = 0;
    const flt_tensor one = {.name = "a", .dtype = FLTX_F32, .count = 1, .data = &(float){1}};
    REFUSED("l", flt_layout_add(NULL, "a", 0, NULL));
    REFUSED("name", flt_layout_add(&l, NULL, 0, NULL));
    REFUSED("dim", flt_layout_add(&l, "a", 1, NULL));
    REFUSED("from", flt_layout_copy(NULL, &l));
    REFUSED("to", flt_layout_copy(&l, NULL));
    REFUSED("path", flt_tensors_read(NULL, &t));
    REFUSED("out", flt_tensors_read("a", NULL));
    REFUSED("who", flt_tensors_parse(NULL, "", 0, &t));
    REFUSED("bytes", flt_tensors_parse("a", NULL, 1, &t));
    REFUSED("out", flt_tensors_parse("a", "", 0, NULL));
    REFUSED("who", flt_tensor_finite(NULL, &one));
    REFUSED("t", flt_tensor_finite("a", NULL));
    REFUSED("who", flt_tensor_expect(NULL, &one, 0, NULL));
    REFUSED("t", flt_tensor_expect("a", NULL, 0, NULL));
    REFUSED("dim", flt_tensor_expect("a", &one, 1, NULL));
    cr_assert(flt_tensor_expect("a", &one, 0, NULL) == FLTE_OK);
    REFUSED("out", flt_tensor_writer_create(NULL));
    cr_assert(flt_tensor_writer_create(&w) == FLTE_OK);
    REFUSED("w", flt_tensor_writer_add(NULL, "a", FLTX_F32, 0, NULL, one.data));
    REFUSED("name", flt_tensor_writer_add(w, NULL, FLTX_F32, 0, NULL, one.data));
    REFUSED("dim", flt_tensor_writer_add(w, "a", FLTX_F32, 2, NULL, one.data));
    REFUSED("data", flt_tensor_writer_add(w, "a", FLTX_F32, 2, dim, NULL));
    cr_assert(flt_tensor_writer_real(w, "a", 0, NULL, NULL) == FLTE_USAGE && strstr(flt_error(), "data is NULL") != NULL);
    cr_assert(flt_tensor_writer_real(w, "empty", 1, &(size_t){0}, NULL) == FLTE_OK, "no elements, no data");
    REFUSED("w", flt_tensor_writer_meta(NULL, "a", "b"));
    REFUSED("key", flt_tensor_writer_meta(w, NULL, "b"));
    REFUSED("value", flt_tensor_writer_meta(w, "a", NULL));
    REFUSED("w", flt_tensor_writer_save(NULL, "a"));
    REFUSED("path", flt_tensor_writer_save(w, NULL));
    flt_tensor_writer_destroy(w);
    REFUSED("path", flt_write_atomic(NULL, "", 0));
    REFUSED("bytes", flt_write_atomic("a", NULL, 1));
    REFUSED("path", flt_write_possible(NULL));
    REFUSED("path", flt_read_all(NULL, &bytes, &size));
    REFUSED("bytes", flt_read_all("a", NULL, &size));
    REFUSED("size", flt_read_all("a", &bytes, NULL));
}

Test(base_null, encodings_and_numbers) {
    const flt_rpe_kind *kind = NULL;
    const flt_rpe_args args = {.l = 1, .c = 1, .scale = 1};
    double x[2];
    flt_real bias[1];
    REFUSED("out", flt_rpe_find("gaussian", NULL));
    cr_assert(flt_rpe_find("gaussian", &kind) == FLTE_OK);
    REFUSED("kind", flt_rpe_draw(NULL, &args, FLTX_RPE_MC, 0, (flt_rng){0}, 1, x, x));
    REFUSED("a", flt_rpe_draw(kind, NULL, FLTX_RPE_MC, 0, (flt_rng){0}, 1, x, x));
    REFUSED("xi", flt_rpe_draw(kind, &args, FLTX_RPE_MC, 0, (flt_rng){0}, 1, NULL, x));
    REFUSED("rho", flt_rpe_draw(kind, &args, FLTX_RPE_MC, 0, (flt_rng){0}, 1, x, NULL));
    REFUSED("kind", flt_rpe_lag_bias(NULL, &args, 1, bias));
    REFUSED("a", flt_rpe_lag_bias(kind, NULL, 1, bias));
    REFUSED("bias", flt_rpe_lag_bias(kind, &args, 1, NULL));
    REFUSED("out", flt_fft_create(1, 1, NULL));
    REFUSED("omega", flt_orthogonal_gaussian((flt_rng){0}, 1, 1, NULL));
    REFUSED("who", flt_gemm_check(NULL, 1, 1, 1));
}

Test(base_null, attention) {
    const flt_attention_kind *kind = NULL;
    const flt_attention_desc desc = {
        .mechanism = "exact", .B = 1, .H = 1, .N = 1, .d = 1, .dv = 1, .causal = true, .backward = true};
    flt_attention *a = NULL;
    flt_real x[1] = {1}, y[1];
    flt_attention_pass pass = {.q = x, .k = x, .v = x, .out = x, .dout = x, .dq = y, .dk = y, .dv = y, .n_args = 1};
    REFUSED("out", flt_attention_find("exact", NULL));
    cr_assert(flt_attention_find("exact", &kind) == FLTE_OK);
    REFUSED("desc", flt_attention_create(NULL, &a));
    REFUSED("out", flt_attention_create(&desc, NULL));
    REFUSED("a", flt_attention_begin(NULL));
    REFUSED("a", flt_attention_update(NULL, 0, NULL));
    cr_assert(flt_attention_create(&desc, &a) == FLTE_OK, "%s", flt_error());
    REFUSED("a", flt_attention_backward(NULL, &pass));
    REFUSED("pass", flt_attention_backward(a, NULL));
    REFUSED("pass->args", flt_attention_backward(a, &pass));
    pass.n_args = 0;
    cr_assert(flt_attention_backward(a, &pass) == FLTE_OK, "%s", flt_error());
    pass.dk = NULL;
    REFUSED("pass->dk", flt_attention_backward(a, &pass));
    pass.q = NULL;
    REFUSED("pass->q", flt_attention_backward(a, &pass));
    flt_attention_destroy(a);
}

Test(base_null, graphs) {
    flt_graph *g = NULL;
    flt_exec *e = NULL;
    flt_node out[1];
    REFUSED("out", flt_graph_create(NULL));
    REFUSED("g", flt_graph_status(NULL));
    cr_assert(flt_graph_create(&g) == FLTE_OK);
    const flt_node x = flt_input(g, "x", 0, NULL), y = flt_square(g, x);
    REFUSED("g", flt_gradient(NULL, y, 1, &x, out));
    REFUSED("x", flt_gradient(g, y, 1, NULL, out));
    REFUSED("out", flt_gradient(g, y, 1, &x, NULL));
    REFUSED("g", flt_hessian_vector(NULL, y, 1, &x, &x, out));
    REFUSED("x", flt_hessian_vector(g, y, 1, NULL, &x, out));
    REFUSED("direction", flt_hessian_vector(g, y, 1, &x, NULL, out));
    REFUSED("out", flt_hessian_vector(g, y, 1, &x, &x, NULL));
    REFUSED("g", flt_exec_create(NULL, 1, &y, &e));
    REFUSED("outputs", flt_exec_create(g, 1, NULL, &e));
    REFUSED("out", flt_exec_create(g, 1, &y, NULL));
    flt_graph_destroy(g);
}

// ---- builders: a bad node, and the sentence sticks to the graph

typedef flt_node (*builder)(flt_graph *g, flt_node x);

static flt_node input(flt_graph *g, flt_node x) {
    return (void)x, flt_input(g, NULL, 0, NULL);
}
static flt_node lengths(flt_graph *g, flt_node x) {
    return (void)x, flt_input(g, "y", 2, NULL);
}
static flt_node constant(flt_graph *g, flt_node x) {
    return (void)x, flt_constant(g, 2, dim, NULL);
}
static flt_node broadcast(flt_graph *g, flt_node x) {
    return flt_broadcast(g, x, 2, NULL);
}
static flt_node reshape(flt_graph *g, flt_node x) {
    return flt_reshape(g, x, 2, NULL);
}
static flt_node transpose(flt_graph *g, flt_node x) {
    return flt_transpose(g, x, NULL);
}
static flt_node concat(flt_graph *g, flt_node x) {
    return (void)x, flt_concat(g, 2, NULL, 0);
}
static flt_node attend(flt_graph *g, flt_node x) {
    return flt_attend(g, NULL, (flt_node[3]){x, x, x}, NULL);
}
static flt_node attend_nothing(flt_graph *g, flt_node x) {
    return (void)x, flt_attend(g, &(flt_attend_desc){.mechanism = "exact"}, NULL, NULL);
}
static flt_node attend_fixed(flt_graph *g, flt_node x) {
    return flt_attend(g, &(flt_attend_desc){.mechanism = "exact", .n_fixed = 1}, (flt_node[3]){x, x, x}, NULL);
}

Test(base_null, builders) {
    static const struct {
        builder build;
        const char *sentence;
    } row[] = {{input, "input: name is NULL"},
               {lengths, "input: dim is NULL"},
               {constant, "constant: data is NULL"},
               {broadcast, "broadcast: dim is NULL"},
               {reshape, "reshape: dim is NULL"},
               {transpose, "transpose: axes is NULL"},
               {concat, "concat: its list of inputs is NULL"},
               {attend, "attention: desc is NULL"},
               {attend_nothing, "attention: qkv is NULL"},
               {attend_fixed, "attention: desc->fixed is NULL"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        flt_graph *g = NULL;
        cr_assert(flt_graph_create(&g) == FLTE_OK);
        const flt_node y = row[i].build(g, flt_input(g, "x", 2, dim));
        cr_expect(y.id < 0 && flt_graph_status(g) == FLTE_USAGE, "%s", row[i].sentence);
        cr_expect(strncmp(flt_error(), row[i].sentence, strlen(row[i].sentence)) == 0, "'%s', not '%s'", flt_error(),
                  row[i].sentence);
        flt_graph_destroy(g);
        cr_expect(row[i].build(NULL, (flt_node){0}).id < 0, "%s, without a graph", row[i].sentence);
    }
    const flt_node x = {0};
    cr_expect(flt_add(NULL, x, x).id < 0 && flt_gelu(NULL, x).id < 0 && flt_mean_all(NULL, x).id < 0 &&
              flt_scalar(NULL, 1).id < 0);
}

Test(base_null, what_is_destroyed) {
    flt_free(NULL);
    flt_ws_release(NULL);
    flt_ws_destroy(NULL);
    flt_params_destroy(NULL);
    flt_layout_free(NULL);
    flt_objective_destroy(NULL);
    flt_tensors_destroy(NULL);
    flt_tensor_writer_destroy(NULL);
    flt_fft_destroy(NULL);
    flt_attention_destroy(NULL);
    flt_graph_destroy(NULL);
    flt_exec_destroy(NULL);
    cr_assert_eq(flt_live_blocks(), 0u);
}
