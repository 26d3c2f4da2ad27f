// SPDX-License-Identifier: MIT
// Growing expressions of nested lists, O(length).
#include "engine/listops.h"
#include "flt/memory.h"

struct flt_listops_node { // 0, the root, is nobody's child: no node
    uint32_t first, next; // child, sibling
    uint8_t symbol, count, depth;
};

typedef struct growth {
    flt_listops *s;
    flt_rng rng;
    uint64_t drawn;
    size_t nodes, n_open, n_roomy; // open: digits that may become lists; roomy: lists that may get more members
    size_t room;                   // members that lists may still get
} growth;

typedef struct writer {
    const flt_listops_node *node;
    flt_real *token;
    size_t n;
} writer;

// ---- life

// Tokens of the largest expression, or `enough`.
static size_t capacity(const flt_listops *s, size_t enough) {
    size_t n = 1;
    for (size_t i = 0; i < s->nesting && n < enough; i++) n = 2 + s->arguments * n;
    return n;
}

flt_err flt_listops_open(const char *who, flt_listops *s) {
    // a quarter of what fits: growth never ends early, as the last tokens of a full tree might
    const size_t most = capacity(s, 4 * s->longest) / 4;
    if (s->shortest < 4 || s->shortest > s->longest)
        return flt_fail(FLTE_RANGE, who, "lengths %zu .. %zu; the shortest has 4 tokens or more, the longest no fewer",
                        s->shortest, s->longest);
    if (most < s->longest)
        return flt_fail(FLTE_RANGE, who, "%zu tokens need deeper lists: nesting %zu with %zu arguments holds up to %zu",
                        s->longest, s->nesting, s->arguments, most);
    FLTX_TRY(flt_alloc(s->longest, sizeof *s->node, &s->node));
    FLTX_TRY(flt_alloc(s->longest, sizeof *s->open, &s->open));
    return flt_alloc(s->longest, sizeof *s->roomy, &s->roomy);
}

void flt_listops_close(flt_listops *s) {
    flt_free(s->node);
    flt_free(s->open);
    flt_free(s->roomy);
    *s = (flt_listops){0};
}

// ---- growing

static size_t below(growth *g, size_t n) {
    return (size_t)flt_rng_below(g->rng, g->drawn++, n);
}

static uint32_t take(uint32_t *set, size_t *n, size_t i) {
    const uint32_t x = set[i];
    set[i] = set[--*n];
    return x;
}

// A digit more in a list, at a random place.
static void add_digit(growth *g, uint32_t list) {
    flt_listops_node *node = g->s->node, *parent = &node[list];
    const uint32_t digit = (uint32_t)g->nodes++;
    uint32_t *place = &parent->first;
    for (size_t before = below(g, parent->count + (size_t)1); before > 0; before--) place = &node[*place].next;
    node[digit] = (flt_listops_node){.next = *place, .symbol = (uint8_t)below(g, 10), .depth = (uint8_t)(parent->depth + 1)};
    *place = digit;
    parent->count++;
    if (parent->depth < g->s->nesting) g->s->open[g->n_open++] = digit;
}

// A digit, or the root, becomes a list of two.
static void nest(growth *g, uint32_t at) {
    flt_listops_node *list = &g->s->node[at];
    list->symbol = (uint8_t)(FLTX_LISTOPS_MIN + below(g, 4));
    add_digit(g, at);
    add_digit(g, at);
    g->s->roomy[g->n_roomy++] = at;
    g->room += g->s->arguments - 2;
}

static void extend(growth *g) {
    const size_t i = below(g, g->n_roomy);
    const uint32_t list = g->s->roomy[i];
    add_digit(g, list);
    g->room--;
    if (g->s->node[list].count == g->s->arguments) take(g->s->roomy, &g->n_roomy, i);
}

// Room for two is kept to the end: 1 or 2 tokens are no list.
static void grow(growth *g, size_t length) {
    g->s->node[g->nodes++] = (flt_listops_node){.depth = 1};
    nest(g, 0);
    for (size_t left = length - 4; left > 0;) {
        const bool can_nest = left >= 3 && g->n_open > 0;
        const bool can_extend = g->room > 2 || (g->room > 0 && !can_nest);
        if (!can_nest && !can_extend) break;
        if (can_nest && (!can_extend || below(g, g->s->arguments) < 2)) {
            nest(g, take(g->s->open, &g->n_open, below(g, g->n_open)));
            left -= 3;
        } else {
            extend(g);
            left--;
        }
    }
}

// ---- values

static size_t median(size_t *x, size_t n) {
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && x[j - 1] > x[j]; j--) {
            const size_t smaller = x[j];
            x[j] = x[j - 1];
            x[j - 1] = smaller;
        }
    return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

static size_t apply(size_t symbol, size_t *x, size_t n) {
    size_t least = x[0], most = x[0], sum = 0;
    for (size_t i = 0; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
        sum += x[i];
    }
    if (symbol == FLTX_LISTOPS_MIN) return least;
    if (symbol == FLTX_LISTOPS_MAX) return most;
    return symbol == FLTX_LISTOPS_SM ? sum % 10 : median(x, n);
}

// Writes the tokens of a node and returns its value; as deep as lists are nested.
static size_t emit(writer *w, uint32_t at) {
    const flt_listops_node *node = &w->node[at];
    size_t x[FLTX_LISTOPS_ARGUMENTS] = {0}, n = 0;
    w->token[w->n++] = node->symbol;
    if (node->symbol < 10) return node->symbol;
    for (uint32_t child = node->first; child != 0; child = w->node[child].next) x[n++] = emit(w, child);
    w->token[w->n++] = FLTX_LISTOPS_END;
    return apply(node->symbol, x, n);
}

flt_expression flt_listops_draw(flt_listops *s, flt_rng r, flt_real *token) {
    growth g = {.s = s, .rng = r};
    writer w = {.node = s->node, .token = token};
    grow(&g, s->shortest + below(&g, s->longest - s->shortest + 1));
    const size_t value = emit(&w, 0);
    for (size_t i = w.n; i < s->longest; i++) token[i] = FLTX_LISTOPS_PAD;
    return (flt_expression){.length = w.n, .value = value};
}

void flt_listops_levels(size_t n, const flt_real *token, flt_real *level) {
    size_t open = 0;
    for (size_t t = 0; t < n; t++) {
        const size_t symbol = (size_t)token[t];
        open -= symbol == FLTX_LISTOPS_END;
        level[t] = (flt_real)open;
        open += symbol >= FLTX_LISTOPS_MIN && symbol < FLTX_LISTOPS_END;
    }
}

const char *flt_listops_symbol(size_t token) {
    static const char *const symbol[FLTX_LISTOPS_SYMBOLS] = {"0", "1", "2",    "3",    "4",    "5",   "6", "7",
                                                             "8", "9", "[MIN", "[MAX", "[MED", "[SM", "]", "_"};
    return token < FLTX_LISTOPS_SYMBOLS ? symbol[token] : "?";
}
