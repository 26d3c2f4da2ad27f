// SPDX-License-Identifier: MIT
// Tensor files that lie: each handmade file is refused with its reason, and no mutation of a good file is read beyond its end.
// Files are parsed from blocks of exactly their size, so that AddressSanitizer sees one byte too many.
#include "flt/memory.h"
#include "flt/random.h"
#include "flt/tensorfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- files from a header and a number of data bytes

static flt_err parse_bytes(const unsigned char *bytes, size_t size) {
    unsigned char *exact = malloc(size == 0 ? 1 : size);
    flt_tensors *t = NULL;
    if (size > 0) memcpy(exact, bytes, size);
    const flt_err err = flt_tensors_parse("file", exact, size, &t);
    free(exact);
    if (err == FLTE_OK) { // every byte that is promised must be there
        double sum = 0;
        for (size_t i = 0; i < flt_tensors_count(t); i++) {
            const flt_tensor *x = flt_tensors_at(t, i);
            for (size_t k = 0; k < x->count; k++)
                sum += x->dtype == FLTX_F32 ? (double)((const float *)x->data)[k] : ((const double *)x->data)[k];
            cr_assert_eq(flt_tensors_find(t, x->name), x, "'%s' is not found", x->name);
        }
        flt_tensors_meta(t, "k");
        volatile double keep = sum;
        (void)keep;
    }
    cr_assert_eq(err == FLTE_OK, t != NULL);
    flt_tensors_destroy(t);
    return err;
}

// The file: length of the header, header, `data` bytes. Returns its size.
static size_t compose(unsigned char *out, uint64_t length, const char *header, size_t header_size, size_t data) {
    for (int i = 0; i < 8; i++) out[i] = (unsigned char)(length >> 8 * i);
    memcpy(out + 8, header, header_size);
    for (size_t i = 0; i < data; i++) out[8 + header_size + i] = (unsigned char)(i % 64);
    return 8 + header_size + data;
}

static flt_err parse(const char *header, size_t header_size, size_t data) {
    static unsigned char file[1 << 16];
    return parse_bytes(file, compose(file, header_size, header, header_size, data));
}

// ---- handmade files

typedef struct trial {
    const char *label, *header;
    size_t data;
    const char *says; // part of the sentence; NULL: the file is fine
} trial;

// One tensor "a" of the given dtype, shape and offsets.
#define ONE(dtype, shape, offsets) "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define A4                         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
#define B(offsets)                 "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":" offsets "}"

static const trial trials[] = {
    // fine
    {"empty object", "{}", 0, NULL},
    {"one tensor", ONE("F32", "[2,3]", "[0,24]"), 24, NULL},
    {"scalar", ONE("F64", "[]", "[0,8]"), 8, NULL},
    {"empty tensor", ONE("F64", "[0,7]", "[0,0]"), 0, NULL},
    {"any order", "{" B("[4,8]") "," A4 "}", 8, NULL},
    {"empty between", "{" A4 "," B("[4,8]") ",\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}", 8, NULL},
    {"padded with blanks", ONE("F32", "[1]", "[0,4]") "     ", 4, NULL},
    {"metadata", "{\"__metadata__\":{\"k\":\"v\",\"l\":\"\"}," A4 "}", 4, NULL},
    {"unknown member", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":[1,{}]}}", 4, NULL},
    {"blanks inside", "{ \"a\" :\n\t{\"dtype\":\"F32\" ,\r\"shape\":[ 1 ],\"data_offsets\":[0, 4 ]} }", 4, NULL},
    {"escapes", "{\"\\u00e9\\ud83d\\ude00\\\\u0000\\\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, NULL},
    // text
    {"empty header", "", 0, "does not begin with {"},
    {"a list", "[]", 0, "does not begin with {"},
    {"a number", "12345678", 0, "does not begin with {"},
    {"byte order mark", "\xef\xbb\xbf{}", 0, "does not begin with {"},
    {"blank first", " {}", 0, "does not begin with {"},
    {"cut", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_off", 4, "not valid JSON"},
    {"cut behind a comma", "{\"1\":1,", 0, "not valid JSON"},
    {"cut in an escape", "{\"1\\", 0, "not valid JSON"},
    {"cut in a unicode escape", "{\"1\\u00", 0, "not valid JSON"},
    {"lone surrogate", "{\"\\ud83d\":1}", 0, "not valid JSON"},
    {"text behind", ONE("F32", "[1]", "[0,4]") "{}", 4, "text behind its object"},
    {"newline behind", ONE("F32", "[1]", "[0,4]") "\n", 4, "text behind its object"},
    {"broken UTF-8", "{\"\xff\":1}", 0, "not UTF-8"},
    {"overlong UTF-8", "{\"\xc0\xaf\":1}", 0, "not UTF-8"},
    {"UTF-8 surrogate", "{\"\xed\xa0\x80\":1}", 0, "not UTF-8"},
    {"UTF-8 too high", "{\"\xf4\x90\x80\x80\":1}", 0, "not UTF-8"},
    {"UTF-8 cut by the end", "{\"\xe2\x82", 0, "not UTF-8"},
    {"escaped zero", "{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "zero character"},
    {"control character in a name", "{\"a\nb\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "control character"},
    {"control character outside", "{\x01}", 0, "control character"},
    {"comment", "{/**/}", 0, "not valid JSON"},
    {"trailing comma", "{" A4 ",}", 4, "not valid JSON"},
    // names
    {"name twice", "{" A4 ",\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "'a' appears twice"},
    {"name twice by an escape", "{" A4 ",\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
     "'a' appears twice"},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "appears twice"},
    {"metadata key twice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "'k' appears twice"},
    {"metadata is a list", "{\"__metadata__\":[]}", 0, "not an object"},
    {"metadata holds a number", "{\"__metadata__\":{\"k\":1}}", 0, "'k' is not a text"},
    {"metadata holds null", "{\"__metadata__\":{\"k\":null}}", 0, "'k' is not a text"},
    // members
    {"entry is a number", "{\"a\":1}", 0, "not described by an object"},
    {"entry is null", "{\"a\":null}", 0, "not described by an object"},
    {"entry is a list", "{\"a\":[\"F32\",[1],[0,4]]}", 4, "not described by an object"},
    {"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "has no 'dtype'"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "has no 'shape'"},
    {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "has no 'data_offsets'"},
    {"two shapes", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[9],\"data_offsets\":[0,4]}}", 4, "two of 'shape'"},
    {"capitals", "{\"a\":{\"DType\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "has no 'dtype'"},
    // dtypes
    {"unknown dtype", ONE("F33", "[1]", "[0,4]"), 4, "dtype 'F33'; F32 and F64 are supported"},
    {"half", ONE("F16", "[2]", "[0,4]"), 4, "dtype 'F16'"},
    {"integers", ONE("I64", "[1]", "[0,8]"), 8, "dtype 'I64'"},
    {"small letters", ONE("f32", "[1]", "[0,4]"), 4, "dtype 'f32'"},
    {"dtype is a number", "{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype is not a text"},
    // shapes
    {"shape is a number", ONE("F32", "1", "[0,4]"), 4, "shape is not a list"},
    {"shape is an object", ONE("F32", "{\"x\":1}", "[0,4]"), 4, "shape is not a list"},
    {"negative", ONE("F32", "[-1]", "[0,4]"), 4, "whole numbers"},
    {"fraction", ONE("F32", "[1.5]", "[0,4]"), 4, "whole numbers"},
    {"text in shape", ONE("F32", "[\"1\"]", "[0,4]"), 4, "whole numbers"},
    {"list in shape", ONE("F32", "[[1]]", "[0,4]"), 4, "whole numbers"},
    {"null in shape", ONE("F32", "[null]", "[0,4]"), 4, "whole numbers"},
    {"infinite", ONE("F32", "[1e999]", "[0,4]"), 4, "whole numbers"},
    {"2^53", ONE("F32", "[0,9007199254740992]", "[0,0]"), 0, "whole numbers"},
    {"2^53 + 1, rounded", ONE("F32", "[0,9007199254740993]", "[0,0]"), 0, "whole numbers"},
    {"2^64 + 1", ONE("F32", "[18446744073709551617]", "[0,4]"), 4, "whole numbers"},
    {"nine dimensions", ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 dimensions"},
    {"product overflows", ONE("F32", "[4294967296,4294967296]", "[0,4]"), 4, "overflows"},
    {"product wraps to 4", ONE("F32", "[4611686018427387,4611686018427387,4611686018427387]", "[0,4]"), 4, "overflows"},
    {"bytes overflow", ONE("F64", "[2147483648,1073741824]", "[0,0]"), 0, "overflows"},
    {"overflow behind a zero", ONE("F64", "[0,4503599627370496,4503599627370496]", "[0,0]"), 0, "overflows"},
    // offsets
    {"offsets are a number", ONE("F32", "[1]", "4"), 4, "not a list of two"},
    {"one offset", ONE("F32", "[1]", "[0]"), 4, "not a list of two"},
    {"three offsets", ONE("F32", "[1]", "[0,4,4]"), 4, "not a list of two"},
    {"no offset", ONE("F32", "[1]", "[]"), 4, "not a list of two"},
    {"negative offset", ONE("F32", "[1]", "[-4,0]"), 4, "whole numbers"},
    {"backwards", ONE("F32", "[1]", "[4,0]"), 4, "bytes by its shape"},
    {"too short", ONE("F32", "[2]", "[0,4]"), 4, "8 bytes by its shape, and data_offsets 0, 4"},
    {"too long", ONE("F32", "[1]", "[0,8]"), 8, "4 bytes by its shape, and data_offsets 0, 8"},
    {"beyond the file", ONE("F32", "[2]", "[0,8]"), 7, "truncated"},
    {"far beyond the file", ONE("F32", "[1]", "[9007199254740987,9007199254740991]"), 4, "truncated"},
    {"huge", ONE("F32", "[1099511627776]", "[0,4398046511104]"), 4, "truncated"},
    {"hole before", ONE("F32", "[1]", "[4,8]"), 8, "4 bytes before tensor 'a'"},
    {"hole behind", ONE("F32", "[1]", "[0,4]"), 5, "1 bytes behind the last tensor"},
    {"hole between", "{" A4 "," B("[8,12]") "}", 12, "4 bytes before tensor 'b'"},
    {"overlap", "{" A4 "," B("[2,6]") "}", 6, "'b' overlaps 'a'"},
    {"same place", "{" A4 "," B("[0,4]") "}", 4, "overlaps"},
    {"empty tensor inside another", "{" A4 ",\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[2,2]}}", 4, "overlaps"},
    {"data without tensors", "{}", 4, "4 bytes behind the last tensor"},
};

Test(base_hostile, handmade_files) {
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        const trial *t = &trials[i];
        const flt_err err = parse(t->header, strlen(t->header), t->data);
        cr_assert_eq(err, t->says == NULL ? FLTE_OK : FLTE_FORMAT, "%s: %s, %s", t->label, flt_err_name(err), flt_error());
        if (t->says != NULL) cr_assert_neq(strstr(flt_error(), t->says), NULL, "%s: %s", t->label, flt_error());
    }
    cr_assert_eq(flt_live_blocks(), 0u);
}

// ---- lengths

Test(base_hostile, lengths_of_the_header) {
    static const uint64_t lengths[] = {58,        64,         1000,          100000000, 100000001, (uint64_t)1 << 32,
                                       INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    static const char header[] = ONE("F32", "[1]", "[0,4]");
    unsigned char file[200];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const size_t size = compose(file, lengths[i], header, strlen(header), 0);
        cr_assert_eq(parse_bytes(file, size), FLTE_FORMAT, "length %llu", (unsigned long long)lengths[i]);
        const char *says = lengths[i] > 100000000 ? "at most 100000000 are allowed" : "truncated";
        cr_assert_neq(strstr(flt_error(), says), NULL, "length %llu: %s", (unsigned long long)lengths[i], flt_error());
    }
}

Test(base_hostile, every_truncation) {
    static const char header[] = "{\"__metadata__\":{\"k\":\"v\"}," A4 "," B("[4,8]") "}";
    unsigned char file[300];
    const size_t size = compose(file, strlen(header), header, strlen(header), 8);
    cr_assert_eq(parse_bytes(file, size), FLTE_OK, "%s", flt_error());
    for (size_t n = 0; n < size; n++) cr_assert_eq(parse_bytes(file, n), FLTE_FORMAT, "cut to %zu of %zu bytes", n, size);
    for (size_t n = 0; n < strlen(header); n++) // the header alone is cut, its length says so
        cr_assert_eq(parse(header, n, 8), FLTE_FORMAT, "header cut to %zu bytes", n);
}

Test(base_hostile, zeros_in_the_header) {
    static const char header[] = ONE("F32", "[1]", "[0,4]");
    char changed[sizeof header + 1];
    for (size_t at = 0; at <= strlen(header); at++) {
        memcpy(changed, header, at);
        changed[at] = '\0';
        memcpy(changed + at + 1, header + at, strlen(header) - at);
        cr_assert_eq(parse(changed, strlen(header) + 1, 4), FLTE_FORMAT, "zero at %zu", at);
    }
}

// ---- size

static size_t repeat(char *out, const char *what, size_t n) {
    for (size_t i = 0; i < n; i++) memcpy(out + i * strlen(what), what, strlen(what));
    return n * strlen(what);
}

Test(base_hostile, deep_nesting) {
    static char header[60000];
    static const char *const openings[] = {"[", "{\"a\":", "[{\"a\":"};
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t n = (size_t)sprintf(header, "{\"a\":");
        n += repeat(header + n, openings[i], 50000 / strlen(openings[i]));
        cr_assert_eq(parse(header, n, 0), FLTE_FORMAT, "%s", openings[i]);
    }
}

// Work must not grow with the square of the number of names: 200,000 of them would take minutes.
Test(base_hostile, many_names) {
    enum { MANY = 200000 };
    char *file = NULL, *p;
    cr_assert_eq(flt_alloc(MANY, 80, &file), FLTE_OK);
    p = file + 8;
    for (int i = 0; i < MANY; i++)
        p += sprintf(p, "%c\"%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", i == 0 ? '{' : ',', i);
    *p++ = '}';
    const uint64_t length = (uint64_t)(p - file) - 8;
    for (int i = 0; i < 8; i++) file[i] = (char)(unsigned char)(length >> 8 * i);
    cr_assert_eq(parse_bytes((unsigned char *)file, (size_t)(p - file)), FLTE_OK, "%s", flt_error());
    flt_free(file);
}

// ---- mutations

static const char rich[] =
    "{\"__metadata__\":{\"k\":\"v\\n\",\"\\u00e9\":\"\\\"\"}," A4
    "," B("[4,8]") ",\"c\\\\d\":{\"dtype\":\"F64\",\"shape\":[2,0,3],\"data_offsets\":[8,8]},\"\xc3\xa9\":{\"dtype\":\"F64\","
                   "\"shape\":[1,2],"
                   "\"data_offsets\":[8,24]},\"s\":{\"data_offsets\":[24,32],\"shape\":[],\"dtype\":\"F64\"}}   ";

enum { DATA = 32, ROUNDS = 20000 };

// One change of a file of *size bytes with room for one more: flip a bit, set a byte, replace by a telling character, remove,
// insert.
static void mutate(unsigned char *file, size_t *size, uint64_t bits) {
    static const char telling[] = "\"\\{}[],:-.e0129u \0\xff\x80";
    const size_t at = (size_t)(bits >> 8) % *size;
    const unsigned char value = (unsigned char)(bits >> 56);
    switch (bits % 5) {
    case 0:
        file[at] ^= (unsigned char)(1u << value % 8);
        break;
    case 1:
        file[at] = value;
        break;
    case 2:
        file[at] = (unsigned char)telling[value % (sizeof telling - 1)];
        break;
    case 3:
        memmove(file + at, file + at + 1, *size - at - 1);
        --*size;
        break;
    default:
        memmove(file + at + 1, file + at, *size - at);
        file[at] = (unsigned char)telling[value % (sizeof telling - 1)];
        ++*size;
    }
}

Test(base_hostile, mutations) {
    unsigned char good[600], file[620];
    const flt_rng rng = flt_rng_make(20240607, "mutations", 0);
    const size_t size = compose(good, strlen(rich), rich, strlen(rich), DATA);
    size_t accepted = 0;
    cr_assert_eq(parse_bytes(good, size), FLTE_OK, "%s", flt_error());
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t n = size;
        memcpy(file, good, size);
        const uint64_t changes = 1 + flt_rng_below(rng, 16 * round, 4);
        for (uint64_t k = 1; k <= changes; k++) mutate(file, &n, flt_rng_bits(rng, 16 * round + k));
        const flt_err err = parse_bytes(file, n);
        cr_assert(err == FLTE_OK || err == FLTE_FORMAT, "round %llu: %s", (unsigned long long)round, flt_error());
        accepted += err == FLTE_OK;
    }
    cr_assert_gt(accepted, ROUNDS / 50, "only %zu mutants are good files: the mutations are too coarse", accepted);
    cr_assert_lt(accepted, ROUNDS / 2, "%zu mutants are good files", accepted);
    cr_assert_eq(flt_live_blocks(), 0u);
}

// Every header byte takes every value.
Test(base_hostile, every_byte) {
    unsigned char file[600];
    const size_t size = compose(file, strlen(rich), rich, strlen(rich), DATA);
    for (size_t at = 0; at < size - DATA; at++) {
        const unsigned char kept = file[at];
        for (unsigned v = 0; v < 256; v += at < 8 ? 1 : 5) {
            file[at] = (unsigned char)v;
            const flt_err err = parse_bytes(file, size);
            cr_assert(err == FLTE_OK || err == FLTE_FORMAT, "byte %zu = %u: %s", at, v, flt_error());
        }
        file[at] = kept;
    }
}
