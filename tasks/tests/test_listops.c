// SPDX-License-Identifier: MIT
// Expressions of nested lists: their values by an evaluator of their text, shapes, lengths; what the task refuses; learning.
#include "engine/listops.h"
#include "support.h"

enum { LONGEST = 400, DRAWS = 200 };

// ---- an evaluator of text, by counting how often each digit occurs in a list

typedef struct reading {
    const char *at;
    size_t depth, deepest, most; // most: members of a list
} reading;

static size_t value_of_counts(const char *name, const size_t *count, size_t members) {
    size_t seen = 0, sum = 0, low = 10, high = 10, least = 10, most = 0;
    for (size_t digit = 0; digit < 10; digit++) {
        if (count[digit] > 0 && least == 10) least = digit;
        if (count[digit] > 0) most = digit;
        sum += digit * count[digit];
        seen += count[digit];
        if (low == 10 && 2 * seen >= members) low = digit; // the lower and the upper of the two in the middle
        if (high == 10 && 2 * seen > members) high = digit;
    }
    cr_assert(members >= 2, "a list of %zu", members);
    if (strncmp(name, "[MIN ", 5) == 0) return least;
    if (strncmp(name, "[MAX ", 5) == 0) return most;
    if (strncmp(name, "[MED ", 5) == 0) return (low + high) / 2;
    cr_assert_eq(strncmp(name, "[SM ", 4), 0, "no operator: %.10s", name);
    return sum % 10;
}

static size_t read_value(reading *r) {
    const char *name = r->at;
    size_t count[10] = {0}, members = 0;
    r->at = strchr(r->at, ' ') + 1;
    if (*name != '[') {
        cr_assert(*name >= '0' && *name <= '9', "no digit: %.10s", name);
        return (size_t)(*name - '0');
    }
    r->depth++;
    r->deepest = r->depth > r->deepest ? r->depth : r->deepest;
    for (; *r->at != ']'; members++) {
        cr_assert(*r->at != '\0', "no end of %.40s", name);
        count[read_value(r)]++;
    }
    r->at += 2;
    r->depth--;
    r->most = members > r->most ? members : r->most;
    return value_of_counts(name, count, members);
}

static void print(const flt_real *token, size_t n, char *text) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) used += (size_t)sprintf(text + used, "%s ", flt_listops_symbol((size_t)token[i]));
}

Test(listops, the_evaluator_of_this_test_knows_examples) {
    static const struct {
        const char *text;
        size_t value;
    } cases[] = {{"[MAX 2 9 [MIN 4 7 ] 0 ] ", 9}, {"[MED 1 2 ] ", 1},          {"[MED 9 1 5 ] ", 5},
                 {"[MED 8 0 3 6 ] ", 4},          {"[SM 9 9 [SM 1 1 ] ] ", 0}, {"[MIN 3 [MAX 1 2 ] 8 ] ", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reading r = {.at = cases[i].text};
        cr_assert_eq(read_value(&r), cases[i].value, "%s", cases[i].text);
    }
}

// ---- drawn expressions

static void check_shape(flt_listops s) {
    flt_real token[LONGEST];
    char text[8 * LONGEST];
    size_t shortest = LONGEST, longest = 0;
    cr_assert_eq(flt_listops_open("test", &s), FLTE_OK, "%s", flt_error());
    for (uint64_t k = 0; k < DRAWS; k++) {
        const flt_expression e = flt_listops_draw(&s, flt_rng_make(7, "test", k), token);
        print(token, e.length, text);
        reading r = {.at = text};
        const size_t want = read_value(&r);
        cr_assert(e.value == want && *r.at == '\0', "%s is %zu, not %zu", text, want, e.value);
        cr_assert(r.deepest <= s.nesting && r.most <= s.arguments, "%s: depth %zu, a list of %zu", text, r.deepest, r.most);
        for (size_t i = e.length; i < s.longest; i++) cr_assert_eq((int)token[i], FLTX_LISTOPS_PAD);
        shortest = e.length < shortest ? e.length : shortest;
        longest = e.length > longest ? e.length : longest;
    }
    cr_assert(shortest >= s.shortest && longest <= s.longest, "%zu .. %zu", shortest, longest);
    if (s.longest - s.shortest < 8) cr_assert(shortest == s.shortest && longest == s.longest, "%zu .. %zu", shortest, longest);
    flt_listops_close(&s);
}

Test(listops, values_are_those_of_the_text) {
    static const size_t lengths[][2] = {{4, 4}, {5, 5}, {6, 6}, {7, 7}, {4, 11}, {50, 57}, {100, 100}, {100, LONGEST}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t arguments = 4; arguments <= FLTX_LISTOPS_ARGUMENTS; arguments += 3)
            for (size_t nesting = 6; nesting <= 10; nesting += 2)
                check_shape((flt_listops){lengths[i][0], lengths[i][1], nesting, arguments, NULL, NULL, NULL});
}

// At the edge of what open accepts, every length is still reached.
Test(listops, fill_shallow_trees) {
    for (size_t nesting = 1; nesting <= 4; nesting++)
        for (size_t arguments = 4; arguments <= FLTX_LISTOPS_ARGUMENTS; arguments += 2) {
            flt_listops s = {0};
            size_t n = LONGEST;
            for (; n >= 4; n--) {
                s = (flt_listops){n, n, nesting, arguments, NULL, NULL, NULL};
                if (flt_listops_open("test", &s) == FLTE_OK) break;
            }
            flt_listops_close(&s);
            if (n >= 4) check_shape((flt_listops){n, n, nesting, arguments, NULL, NULL, NULL});
        }
}

Test(listops, every_value_and_operator_occurs) {
    flt_listops s = {.shortest = 40, .longest = 60, .nesting = 10, .arguments = 10};
    size_t value[10] = {0}, root[4] = {0};
    flt_real token[60];
    cr_assert_eq(flt_listops_open("test", &s), FLTE_OK);
    for (uint64_t k = 0; k < 2000; k++) {
        value[flt_listops_draw(&s, flt_rng_make(1, "test", k), token).value]++;
        root[(size_t)token[0] - FLTX_LISTOPS_MIN]++;
    }
    for (size_t i = 0; i < 10; i++) cr_assert(value[i] > 60 && value[i] < 600, "value %zu occurs %zu times", i, value[i]);
    for (size_t i = 0; i < 4; i++) cr_assert(root[i] > 400 && root[i] < 600, "operator %zu occurs %zu times", i, root[i]);
    flt_listops_close(&s);
}

Test(listops, are_pure_functions_of_the_stream) {
    flt_listops s = {.shortest = 20, .longest = 90, .nesting = 10, .arguments = 10};
    flt_real a[90], b[90];
    size_t equal = 0;
    cr_assert_eq(flt_listops_open("test", &s), FLTE_OK);
    for (uint64_t k = 0; k < 50; k++) {
        flt_listops_draw(&s, flt_rng_make(1, "test", k), a);
        flt_listops_draw(&s, flt_rng_make(2, "test", k), b);
        equal += memcmp(a, b, sizeof a) == 0;
        flt_listops_draw(&s, flt_rng_make(1, "test", k), b);
        cr_assert_eq(memcmp(a, b, sizeof a), 0, "expression %d", (int)k);
    }
    cr_assert_eq(equal, 0);
    flt_listops_close(&s);
}

Test(listops, levels_count_the_lists_around) { // [MAX 2 [MIN 4 [SM 1 7 ] ] 0 ] _
    static const flt_real token[] = {11, 2, 10, 4, 13, 1, 7, 14, 14, 0, 14, 15}, want[] = {0, 1, 1, 2, 2, 3, 3, 2, 1, 1, 0, 0};
    enum { N = sizeof token / sizeof *token };
    flt_real level[N];
    flt_listops_levels(N, token, level);
    for (size_t i = 0; i < N; i++)
        cr_assert(level[i] == want[i], "token %zu: level %g, not %g", i, (double)level[i], (double)want[i]);
}

// ---- the task

Test(listops, say_what_is_wrong) {
    static const struct {
        const char *spec;
        flt_err err;
        const char *says;
    } cases[] = {
        {"listops:length=50,shortest=60", FLTE_RANGE, "lengths 60 .. 50"},
        {"listops:shortest=2", FLTE_RANGE, "4 tokens or more"},
        {"listops:nesting=1", FLTE_RANGE, "nesting 1 with 10 arguments holds up to 3"},
        {"listops:arguments=3", FLTE_RANGE, "4 .. 16"},
        {"listops:attention=nothing", FLTE_NAME, "unknown"},
    };
    const size_t before = flt_live_blocks();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_objective *o = NULL;
        const flt_err err = flt_task_create(cases[i].spec, &o);
        cr_assert(err == cases[i].err && o == NULL, "%s: %s", cases[i].spec, flt_error());
        cr_assert(strstr(flt_error(), cases[i].says) != NULL, "%s: %s", cases[i].spec, flt_error());
        cr_assert_eq(flt_live_blocks(), before, "%s leaks", cases[i].spec);
    }
}

// Short expressions are learned well beyond the most frequent value.
static void learns(const char *more) {
    char spec[256];
    snprintf(spec, sizeof spec, "%s%s",
             "listops:length=6,shortest=4,width=16,depth=1,expansion=2,batch=32,attention=exact,rpe=none,examples=256,"
             "hessian=false,",
             more);
    flt_objective *o = make(spec);
    flt_real *theta = initial(o, 2);
    double first, accuracy;
    cr_assert_str_eq(o->metric, "accuracy");
    evaluate(o, 2, FLTX_TEST, theta, &first);
    adam(o, 2, 300, 1e-2, theta);
    evaluate(o, 2, FLTX_TEST, theta, &accuracy);
    cr_log_info("listops %s: %.3f, after 300 steps %.3f", more, first, accuracy);
    cr_assert(first < 0.3 && accuracy > 0.5, "%.3f to %.3f", first, accuracy);
    free(theta);
    flt_objective_destroy(o);
}

Test(listops, learns_short_lists) {
    learns("pool=mean");
    learns("pool=first,levels=true");
}
