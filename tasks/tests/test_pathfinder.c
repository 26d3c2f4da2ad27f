// SPDX-License-Identifier: MIT
// Pictures of dashed paths: the label by a flood fill over gaps, balance, no shortcut by distance; the task, and learning.
#include "engine/pathfinder.h"
#include "support.h"

enum { MOST = 32, PIXELS = MOST * MOST, DRAWS = 200 };

static const flt_pathfinder shapes[] = {
    {.size = 16, .length = 12, .distractors = 2, .dash = 2, .gap = 1, .bend = 0.5},
    {.size = 16, .length = 16, .distractors = 5, .dash = 3, .gap = 2, .bend = 0.3},
    {.size = 24, .length = 20, .distractors = 3, .dash = 2, .gap = 1, .bend = 0.8},
    {.size = 32, .length = 30, .distractors = 6, .dash = 3, .gap = 1, .bend = 0.4},
    {.size = 32, .length = 32, .distractors = 0, .dash = 1, .gap = 3, .bend = 1.5},
    {.size = 8, .length = 8, .distractors = 4, .dash = 2, .gap = 0, .bend = 0.5},
    {.size = 8, .length = 8, .distractors = 4, .dash = 1, .gap = 5, .bend = 0.1}, // straight lines alone
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static flt_pathfinder opened(size_t i) {
    flt_pathfinder s = shapes[i];
    cr_assert_eq(flt_pathfinder_open("test", &s), FLTE_OK, "%s", flt_error());
    return s;
}

static size_t dots(const flt_real *pixel, size_t n, size_t *at) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        if (pixel[i] == (flt_real)FLTX_PATHFINDER_DOT && found++ < 2) at[found - 1] = i;
    return found;
}

// Spreads a mark from ink to ink that is at most gap + 1 rows and columns away, until nothing changes.
static bool joined_by_flood(const flt_pathfinder *s, const flt_real *pixel, size_t from, size_t to) {
    const long n = (long)s->size, reach = (long)s->gap + 1;
    bool marked[PIXELS] = {false}, changed = true;
    marked[from] = true;
    while (changed) {
        changed = false;
        for (long i = 0; i < n * n; i++)
            for (long r = i / n - reach; marked[i] && r <= i / n + reach; r++)
                for (long c = i % n - reach; c <= i % n + reach; c++) {
                    if (r < 0 || r >= n || c < 0 || c >= n || marked[r * n + c] || pixel[r * n + c] == 0) continue;
                    marked[r * n + c] = changed = true;
                }
    }
    return marked[to];
}

static void show(const flt_pathfinder *s, const flt_real *pixel, char *text) {
    for (size_t i = 0; i < s->size * s->size; i++) {
        *text++ = ".#O"[(size_t)pixel[i]];
        if ((i + 1) % s->size == 0) *text++ = '\n';
    }
    *text = '\0';
}

Test(pathfinder, labels_are_what_a_flood_fill_says) {
    flt_real pixel[PIXELS];
    char text[PIXELS + MOST + 1];
    size_t at[2] = {0, 0};
    for (size_t i = 0; i < SHAPES; i++) {
        flt_pathfinder s = opened(i);
        for (uint64_t k = 0; k < DRAWS; k++) {
            const size_t joined = flt_pathfinder_draw(&s, flt_rng_make(3, "test", i), k, pixel);
            show(&s, pixel, text);
            cr_assert_eq(dots(pixel, s.size * s.size, at), 2, "shape %zu, picture %d:\n%s", i, (int)k, text);
            cr_assert_eq(joined_by_flood(&s, pixel, at[0], at[1]), joined == 1, "shape %zu, picture %d is %zu:\n%s", i, (int)k,
                         joined, text);
        }
        flt_pathfinder_close(&s);
    }
}

Test(pathfinder, half_are_joined_in_random_order) {
    flt_real pixel[PIXELS];
    flt_pathfinder s = opened(0);
    size_t first = 0;
    for (uint64_t k = 0; k < 2 * DRAWS; k += 2) {
        const size_t a = flt_pathfinder_draw(&s, flt_rng_make(1, "test", 0), k, pixel);
        const size_t b = flt_pathfinder_draw(&s, flt_rng_make(1, "test", 0), k + 1, pixel);
        cr_assert_eq(a + b, 1, "pictures %d and %d", (int)k, (int)k + 1);
        first += a;
    }
    cr_assert(first > DRAWS / 3 && first < 2 * DRAWS / 3, "%zu of %d pairs begin with a joined one", first, DRAWS);
    flt_pathfinder_close(&s);
}

static double distance_of_dots(const flt_pathfinder *s, const flt_real *pixel) {
    size_t at[2] = {0, 0};
    dots(pixel, s->size * s->size, at);
    return hypot((double)(at[0] / s->size) - (double)(at[1] / s->size), (double)(at[0] % s->size) - (double)(at[1] % s->size));
}

// Neither the distance of the dots nor the amount of ink tells the label: best threshold on either.
Test(pathfinder, no_simple_number_tells_the_label) {
    enum { N = 2000 };
    static double x[2][N];
    static size_t label[N];
    flt_real pixel[PIXELS];
    flt_pathfinder s = opened(0);
    for (uint64_t k = 0; k < N; k++) {
        label[k] = flt_pathfinder_draw(&s, flt_rng_make(1, "test", 0), k, pixel);
        x[0][k] = distance_of_dots(&s, pixel);
        x[1][k] = 0.0;
        for (size_t i = 0; i < s.size * s.size; i++) x[1][k] += pixel[i] != 0;
    }
    for (size_t f = 0; f < 2; f++)
        for (double cut = 0.5; cut < 60.0; cut += 0.5) {
            size_t right = 0;
            for (size_t k = 0; k < N; k++) right += (x[f][k] < cut) == (label[k] == 1);
            const double share = (double)right / N;
            cr_assert(share > 0.3 && share < 0.7, "%s %g: right for %.2f", f == 0 ? "distance" : "ink", cut, share);
        }
    flt_pathfinder_close(&s);
}

Test(pathfinder, are_pure_functions_of_stream_and_number) {
    flt_real a[PIXELS], b[PIXELS];
    for (size_t i = 0; i < SHAPES; i++) {
        flt_pathfinder s = opened(i), t = opened(i);
        const size_t bytes = s.size * s.size * sizeof *a;
        size_t equal = 0;
        for (uint64_t k = 40; k-- > 0;) {
            const size_t label = flt_pathfinder_draw(&s, flt_rng_make(1, "test", 0), k, a);
            cr_assert_eq(flt_pathfinder_draw(&t, flt_rng_make(1, "test", 0), 3 * k % 40, b) <= 1, true);
            cr_assert_eq(flt_pathfinder_draw(&t, flt_rng_make(1, "test", 0), k, b), label, "shape %zu, picture %d", i, (int)k);
            cr_assert_eq(memcmp(a, b, bytes), 0, "shape %zu, picture %d", i, (int)k);
            flt_pathfinder_draw(&t, flt_rng_make(2, "test", 0), k, b);
            equal += memcmp(a, b, bytes) == 0;
        }
        cr_assert(equal == 0 || s.gap == 5, "shape %zu: %zu pictures of two seeds are equal", i, equal);
        flt_pathfinder_close(&s);
        flt_pathfinder_close(&t);
    }
}

// Patch (r, c) holds the pixels of rows patch r .. and columns patch c ..; one patch of one pixel each is the picture.
Test(pathfinder, patches_tile_the_picture) {
    flt_real pixel[64], entry[64];
    const flt_pathfinder s = {.size = 8};
    for (size_t i = 0; i < 64; i++) pixel[i] = (flt_real)(i % 3);
    for (size_t patch = 1; patch <= 8; patch *= 2) {
        const flt_real *at = entry;
        flt_pathfinder_cut(&s, patch, pixel, entry);
        for (size_t down = 0; down < 8; down += patch)
            for (size_t right = 0; right < 8; right += patch)
                for (size_t r = 0; r < patch; r++)
                    for (size_t c = 0; c < patch; c++, at++) {
                        const size_t want = 3 * (r * patch + c) + (8 * (down + r) + right + c) % 3;
                        cr_assert_eq((size_t)*at, want, "patch %zu, entry %zu", patch, (size_t)(at - entry));
                    }
    }
}

Test(pathfinder, say_what_is_wrong) {
    static const struct {
        const char *spec;
        flt_err err;
        const char *says;
    } cases[] = {
        {"pathfinder:size=16,length=17", FLTE_RANGE, "a path of 17 pixels; at most the 16"},
        {"pathfinder:size=8,length=8,gap=6", FLTE_RANGE, "8 rows apart; there are 8"},
        {"pathfinder:size=16,patch=3", FLTE_RANGE, "patches of 3 pixels do not tile a side of 16"},
        {"pathfinder:length=12,shortest=13", FLTE_RANGE, "shortest 13; 0, or 3 .. the 12"},
        {"pathfinder:size=7", FLTE_RANGE, "8 .. 128"},
        {"pathfinder:attention=nprf,rpe=gaussian", FLTE_UNSUPPORTED, "exact and flt take any"},
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

// Easier pictures are trained on alone: what is evaluated stays.
Test(pathfinder, shortest_is_for_training) {
    flt_objective *o[] = {make("pathfinder:width=4,depth=1,patch=4"), make("pathfinder:width=4,depth=1,patch=4,shortest=3")};
    flt_real *theta = initial(o[0], 2);
    double test[2], train[2];
    for (size_t i = 0; i < 2; i++) {
        test[i] = evaluate(o[i], 2, FLTX_TEST, theta, NULL);
        train[i] = (double)o[i]->gradient(o[i]->self, (flt_batch){2, FLTX_TRAIN, 1}, theta, NULL);
        flt_objective_destroy(o[i]);
    }
    cr_assert(test[0] == test[1] && train[0] != train[1], "%g and %g, %g and %g", test[0], test[1], train[0], train[1]);
    free(theta);
}

// Pictures of a small world are learned: two rows, or one.
static void learns(const char *more) {
    char spec[256];
    snprintf(spec, sizeof spec,
             "pathfinder:size=8,length=8,gap=5,dash=1,distractors=0,width=8,depth=1,expansion=2,batch=16,"
             "attention=exact,hessian=false,%s",
             more);
    flt_objective *o = make(spec);
    flt_real *theta = initial(o, 2);
    double accuracy;
    cr_assert_str_eq(o->metric, "accuracy");
    adam(o, 2, 60, 2e-2, theta);
    evaluate(o, 2, FLTX_TEST, theta, &accuracy);
    cr_log_info("pathfinder %s: %.3f", more, accuracy);
    cr_assert(accuracy > 0.9, "%s: %.3f", more, accuracy);
    free(theta);
    flt_objective_destroy(o);
}

Test(pathfinder, learns_straight_paths) {
    learns("pool=mean,patch=1");
    learns("pool=dots,patch=2");
}
