// SPDX-License-Identifier: MIT
// The options of the flt optimizer: what is fixed and what is learned, states that go on, weights that bring their options along.
#include "../engine/flt_net.h"
#include "opt_support.h"

// Learned frequencies, weights and random features that hold the fixed values take the same path, bit for bit.
static void check_fixed(const char *learned_set, const char *fixed_set) {
    flt_weights learned = opt_weights("flt", learned_set), fixed = opt_weights("flt", fixed_set);
    flt_net n;
    OPT_OK(flt_net_make(fixed.params, &n));
    flt_real *full = opt_array(n.full);
    OPT_OK(flt_net_fix(&n, full));
    memcpy(full, fixed.theta, n.total * sizeof *full);
    const struct {
        const char *name;
        size_t offset;
    } parts[] = {{"xi", n.xi}, {"rho", n.rho}, {"omega", n.omega}, {"phase", n.phase}, {"noise", n.noise}};
    for (size_t i = 0; i < learned.layout.n; i++) {
        const flt_tensor_spec *to = &learned.layout.tensor[i], *from = flt_layout_find(&fixed.layout, to->name);
        size_t offset = from == NULL ? SIZE_MAX : from->offset;
        for (size_t k = 0; k < sizeof parts / sizeof *parts && from == NULL; k++)
            if (strcmp(parts[k].name, to->name) == 0) offset = parts[k].offset;
        cr_assert_lt(offset, n.full, "%s", to->name);
        memcpy(learned.theta + to->offset, full + offset, to->count * sizeof *full);
    }
    flt_layout layout = opt_layout(opt_mixed);
    flt_real *start = opt_normal(91, layout.total, 1), *grads = opt_normal(92, 10 * layout.total, 1);
    opt_run a = opt_start(&learned, &layout, start), b = opt_start(&fixed, &layout, start);
    opt_steps(&a, 0, 10, grads);
    opt_steps(&b, 0, 10, grads);
    cr_assert_eq(memcmp(a.param, b.param, a.P * sizeof *start), 0, "'%s' and '%s'", learned_set, fixed_set);
    cr_assert_lt(fixed.layout.total, learned.layout.total, "'%s'", fixed_set);
    opt_stop(&a);
    opt_stop(&b);
    flt_free(full);
    flt_free(start);
    flt_free(grads);
    flt_layout_free(&layout);
    flt_weights_free(&learned);
    flt_weights_free(&fixed);
}

Test(opt_flt_options, fixed_is_learned_with_those_values) {
    check_fixed("", "spectrum=fixed");
    check_fixed("", "omega=fixed,draw=7");
    check_fixed("heads=2,m=13", "heads=2,m=13,spectrum=fixed,omega=fixed");
    check_fixed("memory=window", "memory=window,spectrum=fixed");
    check_fixed("memory=spe_sine,heads=2", "memory=spe_sine,heads=2,spectrum=fixed,omega=fixed");
    cr_assert_eq(flt_live_blocks(), 0u);
}

static const char *const options[] = {"memory=performer",
                                      "memory=discount,omega=fixed,draw=4",
                                      "memory=window,window=6,spectrum=fixed",
                                      "memory=spe_sine,realisations=3,r=2",
                                      "memory=none,clock=yes",
                                      "inputs=raw,time=linear",
                                      "form=adam,lr_time=yes,spectrum=fixed,omega=fixed,m=5,r=3"};
enum { OPTIONS = sizeof options / sizeof *options };

// A run continues from its state, moved to another object, whatever attention remembers; the state has as many words as it says.
Test(opt_flt_options, resume) {
    for (size_t i = 0; i < OPTIONS; i++) {
        flt_weights w = opt_shaken(options[i]);
        flt_layout layout = opt_layout(opt_mixed);
        flt_real *start = opt_normal(93, layout.total, 1), *grads = opt_normal(94, 14 * layout.total, 1);
        opt_run whole = opt_start(&w, &layout, start), half = opt_start(&w, &layout, start);
        const size_t before = flt_alloc_count();
        opt_steps(&whole, 0, 14, grads);
        opt_steps(&half, 0, 7, grads);
        cr_assert_eq(flt_alloc_count(), before, "%s: a step allocates", options[i]);
        opt_run rest = opt_start(&w, &layout, half.param);
        memcpy(rest.state, half.state, rest.words * sizeof *rest.state);
        opt_steps(&rest, 7, 14, grads);
        cr_assert_eq(memcmp(whole.param, rest.param, rest.P * sizeof *start), 0, "%s: parameters", options[i]);
        cr_assert_eq(memcmp(whole.state, rest.state, rest.words * sizeof *start), 0, "%s: state", options[i]);
        opt_stop(&whole);
        opt_stop(&half);
        opt_stop(&rest);
        flt_free(start);
        flt_free(grads);
        flt_layout_free(&layout);
        flt_weights_free(&w);
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

// Widths may be written as a list or as a number of layers; the layout has them.
static void check_same_options(const flt_params *a, const flt_params *b, const char *set) {
    for (const flt_param_spec *s = flt_params_specs(a); s->name != NULL; s++) {
        const char *name = s->name;
        if (strcmp(name, "hidden") == 0 || strcmp(name, "layers") == 0) continue;
        const bool same = s->type == FLTX_REAL   ? flt_params_real(a, name) == flt_params_real(b, name)
                          : s->type == FLTX_BOOL ? flt_params_bool(a, name) == flt_params_bool(b, name)
                                                 : strcmp(flt_params_text(a, name), flt_params_text(b, name)) == 0;
        cr_assert(same, "%s: %s", set, name);
    }
}

// Weights bring their options along, and refuse others.
Test(opt_flt_options, come_with_the_weights) {
    static const char *const against[OPTIONS] = {"memory=flt",       "draw=5",   "window=7",        "memory=window",
                                                 "memory=performer", "time=log", "spectrum=learned"};
    static const char *const says[OPTIONS] = {"memory=performer", "draw=4",      "window=6",      "memory=spe_sine",
                                              "memory=none",      "time=linear", "spectrum=fixed"};
    char folder[] = "/tmp/flt_options_XXXXXX", path[64];
    cr_assert_neq(mkdtemp(folder), NULL);
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    for (size_t i = 0; i < OPTIONS; i++) {
        flt_weights w = opt_shaken(options[i]), back;
        flt_params *p = NULL;
        OPT_OK(flt_weights_save(&w, path));
        OPT_OK(flt_weights_load(w.kind, NULL, path, 0, &back));
        cr_assert_eq(back.layout.total, w.layout.total, "%s", options[i]);
        cr_assert_eq(memcmp(back.theta, w.theta, w.layout.total * sizeof *w.theta), 0, "%s", options[i]);
        check_same_options(w.params, back.params, options[i]);
        flt_weights_free(&back);
        OPT_OK(flt_params_create("flt", w.kind->kind.params, &p));
        OPT_OK(flt_params_parse(p, against[i]));
        cr_assert_eq(flt_weights_load(w.kind, p, path, 0, &back), FLTE_USAGE, "%s, then %s", options[i], against[i]);
        cr_assert_neq(strstr(flt_error(), says[i]), NULL, "%s: %s", options[i], flt_error());
        flt_params_destroy(p);
        flt_weights_free(&w);
    }
    remove(path);
    remove(folder);
    cr_assert_eq(flt_live_blocks(), 0u);
}

Test(opt_flt_options, that_exclude_each_other) {
    const flt_optimizer_kind *kind = NULL;
    flt_params *p = NULL;
    flt_weights w;
    OPT_OK(flt_optimizer_find("flt", &kind));
    OPT_OK(flt_params_create("flt", kind->kind.params, &p));
    OPT_OK(flt_params_parse(p, "form=adam,inputs=raw"));
    cr_assert_eq(flt_weights_load(kind, p, NULL, 0, &w), FLTE_UNSUPPORTED);
    cr_assert_neq(strstr(flt_error(), "inputs=raw"), NULL, "%s", flt_error());
    flt_params_destroy(p);
    cr_assert_eq(flt_live_blocks(), 0u);
}
