// SPDX-License-Identifier: MIT
// The table of verbs, and what they share: their options, their store.
#include "results/sub.h"

#include <string.h>

extern const flt_sub flt_sub_list, flt_sub_show, flt_sub_tail, flt_sub_tag, flt_sub_note, flt_sub_rm, flt_sub_gc, flt_sub_schema,
    flt_sub_sql, flt_sub_export, flt_sub_import, flt_sub_compare, flt_sub_best, flt_sub_plot, flt_sub_report;
const flt_sub *const flt_subs[] = {
    &flt_sub_list, &flt_sub_show, &flt_sub_tail, &flt_sub_compare, &flt_sub_best, &flt_sub_plot,   &flt_sub_report, &flt_sub_tag,
    &flt_sub_note, &flt_sub_rm,   &flt_sub_gc,   &flt_sub_schema,  &flt_sub_sql,  &flt_sub_export, &flt_sub_import, NULL};

typedef struct context {
    flt_sub_input in; // first: its first member is what the child parser gets
    const flt_sub *sub;
} context;

static void take_word(struct argp_state *state, context *c, const char *arg) {
    if (c->in.n_words == c->sub->max_words)
        argp_error(state, "'%s': one argument too many%s", arg, c->sub->max_words == 1 ? " (quote texts)" : "");
    c->in.words[c->in.n_words++] = arg;
}

static const char **text_of(flt_sub_input *in, int key) {
    switch (key) {
    case FLTX_SUB_KIND:
        return &in->filter.kind;
    case FLTX_SUB_TASK:
        return &in->filter.task;
    case FLTX_SUB_OPTIMIZER:
        return &in->filter.optimizer;
    case FLTX_SUB_MECHANISM:
        return &in->filter.mechanism;
    case FLTX_SUB_SINCE:
        return &in->filter.since;
    case FLTX_SUB_STATUS:
        return &in->filter.status;
    case FLTX_SUB_TAG:
        return &in->filter.tag;
    case FLTX_SUB_WHERE:
        return &in->filter.where;
    case FLTX_SUB_SORT:
        return &in->filter.sort;
    case FLTX_SUB_OUTPUT:
        return &in->output;
    case FLTX_SUB_FORMAT:
        return &in->format;
    case FLTX_SUB_METRIC:
        return &in->metric;
    case FLTX_SUB_TABLE:
        return &in->table;
    default:
        return NULL;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    context *c = state->input;
    const char **text = text_of(&c->in, key);
    if (text != NULL) {
        *text = key == FLTX_SUB_OUTPUT ? flt_arg_file(state, "output", arg) : arg;
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &c->in.common;
        return 0;
    case FLTX_SUB_LIMIT:
        c->in.filter.limit = (size_t)flt_arg_int(state, "limit", arg, 1, 1000000000);
        return 0;
    case FLTX_SUB_CSV:
        c->in.csv = true;
        return 0;
    case FLTX_SUB_REMOVE:
        c->in.remove = true;
        return 0;
    case FLTX_SUB_YES:
        c->in.yes = true;
        return 0;
    case ARGP_KEY_ARG:
        take_word(state, c, arg);
        return 0;
    case ARGP_KEY_END:
        if (c->in.n_words < c->sub->min_words)
            argp_failure(state, 2, 0, "give %s; see `flt results %s --help`", c->sub->arguments, c->sub->name);
        if (c->in.csv && c->in.common.json) argp_error(state, "--csv and --json: one of them");
        flt_arg_distinct(state, &c->in.common, 1, &(flt_arg_path){"output", c->in.output});
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// Only `import` makes a new store; for the others a name that is not there is a mistake.
static flt_err open_store(const flt_sub *sub, const char *path, flt_store **store) {
    if (sub->mode == FLTX_STORE_WRITE && !sub->creates) {
        FLTX_TRY(flt_store_open(path, FLTX_STORE_READ, store));
        flt_store_close(*store);
    }
    return flt_store_open(path, sub->mode, store);
}

int flt_sub_main(const flt_sub *sub, int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_reader_argp, 0, "Common options", 9}, {0}};
    char doc[2048];
    snprintf(doc, sizeof doc, "%s.\vExamples:\n  %s", sub->summary, sub->example);
    const struct argp argp = {sub->options, parse, sub->arguments, doc, children, NULL, NULL};
    context c = {.in = {.common = flt_common_defaults(), .filter = {.limit = sub->limit}, .exact = sub->exact}, .sub = sub};
    flt_store *store = NULL;
    flt_parse(&argp, argc, argv, &c);
    flt_err err = open_store(sub, c.in.common.db, &store);
    if (err == FLTE_OK) err = sub->run(&c.in, store);
    const int status = flt_report("results", err);
    flt_store_close(store);
    return status;
}
