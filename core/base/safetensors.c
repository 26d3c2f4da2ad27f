// SPDX-License-Identifier: MIT
// The header of a safetensors file: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..}, and optionally
// "__metadata__" with texts by name. Reference: github.com/huggingface/safetensors, README.
//
// cJSON builds the tree; it is more lenient than the format, so what it lets pass is refused here: text behind the object,
// control characters, zeros and broken UTF-8 in texts, keys that appear twice, numbers that a double does not hold.
#include "base/safetensors.h"
#include "flt/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[FLTX_F32] = {"F32", 4}, [FLTX_F64] = {"F64", 8}};

size_t flt_st_dtype_size(flt_dtype dtype) {
    return dtypes[dtype].size;
}
const char *flt_st_dtype_name(flt_dtype dtype) {
    return dtypes[dtype].name;
}

bool flt_st_measure(flt_tensor *t, size_t *bytes) {
    size_t product = dtypes[t->dtype].size;
    t->count = 1;
    for (size_t i = 0; i < t->rank; i++) {
        if (t->dim[i] != 0 && !flt_mul_ok(product, t->dim[i], &product)) return false;
        t->count *= t->dim[i]; // divides `product` or is 0
    }
    *bytes = t->count * dtypes[t->dtype].size;
    return product <= PTRDIFF_MAX;
}

// ---- text

// Length of the UTF-8 sequence at s: 1 .. 4, or 0 when it is broken (cut short, overlong, a surrogate, beyond U+10FFFF).
static size_t utf8_sequence(const unsigned char *s, size_t left) {
    const unsigned char c = s[0];
    const size_t n = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    const bool broken =
        (c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f);
    return broken ? 0 : n;
}

bool flt_st_utf8(const char *text, size_t size) {
    for (size_t i = 0, n = 0; i < size; i += n) {
        n = utf8_sequence((const unsigned char *)text + i, size - i);
        if (n == 0) return false;
    }
    return true;
}

// What cJSON would let pass, or read as the end of a text; NULL when there is nothing.
static const char *text_fault(const char *s, size_t size) {
    bool inside = false; // a text
    if (!flt_st_utf8(s, size)) return "is not UTF-8";
    for (size_t i = 0; i < size; i++) {
        const bool blank = s[i] == '\t' || s[i] == '\n' || s[i] == '\r';
        if ((unsigned char)s[i] < 0x20 && (inside || !blank)) return "has a control character";
        if (s[i] == '"') inside = !inside;
        if (s[i] != '\\') continue;
        if (strncmp(s + i, "\\u0000", 6) == 0) return "has a text with a zero character";
        i++; // the escaped character opens and closes nothing
    }
    return NULL;
}

static flt_err parse_json(const char *who, const char *text, size_t size, cJSON **root) {
    const char *end = NULL, *fault = text_fault(text, size);
    if (text[0] != '{') fault = "does not begin with {";
    if (fault != NULL) return flt_fail(FLTE_FORMAT, who, "the header %s", fault);
    *root = cJSON_ParseWithLengthOpts(text, size + 1, &end, false); // the closing zero included
    if (*root == NULL) {
        const size_t at = end == NULL ? 0 : (size_t)(end - text);
        return flt_fail(FLTE_FORMAT, who, "the header is not valid JSON near its byte %zu", at < size ? at : size);
    }
    for (; *end == ' '; end++) continue;
    if (end != text + size)
        return flt_fail(FLTE_FORMAT, who, "the header has text behind its object, at byte %zu", (size_t)(end - text));
    return FLTE_OK;
}

// ---- names

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Sorts, because a hostile file may hold millions.
static flt_err check_unique(const char *who, const char *what, const cJSON *object) {
    const size_t n = (size_t)cJSON_GetArraySize(object);
    const char **names = NULL;
    flt_err err = FLTE_OK;
    size_t i = 0;
    FLTX_TRY(flt_alloc(n, sizeof *names, &names));
    for (const cJSON *x = object->child; x != NULL; x = x->next) names[i++] = x->string;
    qsort(names, n, sizeof *names, by_text);
    for (i = 1; i < n && err == FLTE_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0) err = flt_fail(FLTE_FORMAT, who, "%s '%.80s' appears twice", what, names[i]);
    flt_free(names);
    return err;
}

static flt_err check_meta(const char *who, const cJSON *meta) {
    if (!cJSON_IsObject(meta)) return flt_fail(FLTE_FORMAT, who, FLTX_ST_METADATA " is not an object");
    for (const cJSON *x = meta->child; x != NULL; x = x->next)
        if (!cJSON_IsString(x)) return flt_fail(FLTE_FORMAT, who, FLTX_ST_METADATA ": '%.80s' is not a text", x->string);
    return check_unique(who, FLTX_ST_METADATA ": the key", meta);
}

// ---- one tensor

// The member of this name. Two of them would leave open which one counts; others are ignored, as the reference does.
static flt_err member(const char *who, const cJSON *entry, const char *key, const cJSON **out) {
    *out = NULL;
    for (const cJSON *x = entry->child; x != NULL; x = x->next) {
        if (strcmp(x->string, key) != 0) continue;
        if (*out != NULL) return flt_fail(FLTE_FORMAT, who, "tensor '%.80s' has two of '%s'", entry->string, key);
        *out = x;
    }
    return *out != NULL ? FLTE_OK : flt_fail(FLTE_FORMAT, who, "tensor '%.80s' has no '%s'", entry->string, key);
}

// Beyond 2^53 doubles no longer tell neighbours apart, and 2^53 itself may have been rounded.
static flt_err whole_number(const char *who, const cJSON *entry, const cJSON *x, size_t *out) {
    const double v = cJSON_IsNumber(x) ? x->valuedouble : -1;
    if (!(v >= 0 && v < 0x1p53) || v != floor(v) || v > (double)SIZE_MAX)
        return flt_fail(FLTE_FORMAT, who, "tensor '%.80s': shape and offsets hold whole numbers from 0 to 2^53 - 1",
                        entry->string);
    *out = (size_t)v;
    return FLTE_OK;
}

static flt_err read_dtype(const char *who, const cJSON *entry, flt_tensor *t) {
    const cJSON *x = NULL;
    FLTX_TRY(member(who, entry, "dtype", &x));
    if (!cJSON_IsString(x)) return flt_fail(FLTE_FORMAT, who, "tensor '%.80s': dtype is not a text", entry->string);
    for (size_t k = 0; k < sizeof dtypes / sizeof *dtypes; k++) {
        t->dtype = (flt_dtype)k;
        if (strcmp(x->valuestring, dtypes[k].name) == 0) return FLTE_OK;
    }
    return flt_fail(FLTE_FORMAT, who, "tensor '%.80s' has dtype '%.40s'; F32 and F64 are supported", entry->string,
                    x->valuestring);
}

static flt_err read_shape(const char *who, const cJSON *entry, flt_tensor *t) {
    const cJSON *shape = NULL;
    FLTX_TRY(member(who, entry, "shape", &shape));
    if (!cJSON_IsArray(shape)) return flt_fail(FLTE_FORMAT, who, "tensor '%.80s': shape is not a list", entry->string);
    for (const cJSON *x = shape->child; x != NULL; x = x->next) {
        if (t->rank == FLTX_MAX_RANK)
            return flt_fail(FLTE_FORMAT, who, "tensor '%.80s' has more than %d dimensions", entry->string, FLTX_MAX_RANK);
        FLTX_TRY(whole_number(who, entry, x, &t->dim[t->rank++]));
    }
    return FLTE_OK;
}

static flt_err read_offsets(const char *who, const cJSON *entry, flt_st_entry *e) {
    const cJSON *pair = NULL;
    FLTX_TRY(member(who, entry, "data_offsets", &pair));
    if (!cJSON_IsArray(pair) || cJSON_GetArraySize(pair) != 2)
        return flt_fail(FLTE_FORMAT, who, "tensor '%.80s': data_offsets is not a list of two", entry->string);
    FLTX_TRY(whole_number(who, entry, pair->child, &e->begin));
    return whole_number(who, entry, pair->child->next, &e->end);
}

static flt_err read_entry(const char *who, const cJSON *entry, flt_st_entry *e) {
    size_t bytes = 0;
    e->tensor.name = entry->string;
    if (!cJSON_IsObject(entry)) return flt_fail(FLTE_FORMAT, who, "tensor '%.80s' is not described by an object", entry->string);
    FLTX_TRY(read_dtype(who, entry, &e->tensor));
    FLTX_TRY(read_shape(who, entry, &e->tensor));
    FLTX_TRY(read_offsets(who, entry, e));
    if (!flt_st_measure(&e->tensor, &bytes))
        return flt_fail(FLTE_FORMAT, who, "tensor '%.80s': the size of its shape overflows", entry->string);
    if (e->begin > e->end || e->end - e->begin != bytes)
        return flt_fail(FLTE_FORMAT, who, "tensor '%.80s' has %zu bytes by its shape, and data_offsets %zu, %zu", entry->string,
                        bytes, e->begin, e->end);
    return FLTE_OK;
}

// ---- the whole

static int by_data(const void *a, const void *b) {
    const flt_st_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1; // empty tensors first
    return x->place < y->place ? -1 : 1;
}

static flt_err check_tiling(const char *who, const flt_st_header *h, size_t data_size) {
    size_t next = 0;
    for (size_t i = 0; i < h->n; i++) {
        const flt_st_entry *e = &h->entry[i];
        if (e->end > data_size)
            return flt_fail(FLTE_FORMAT, who,
                            "tensor '%.80s' ends at byte %zu of %zu bytes of data: truncated, or a wrong offset", e->tensor.name,
                            e->end, data_size);
        if (e->begin < next)
            return flt_fail(FLTE_FORMAT, who, "tensor '%.80s' overlaps '%.80s'", e->tensor.name, h->entry[i - 1].tensor.name);
        if (e->begin > next)
            return flt_fail(FLTE_FORMAT, who, "%zu bytes before tensor '%.80s' belong to none", e->begin - next, e->tensor.name);
        next = e->end;
    }
    if (next == data_size) return FLTE_OK;
    return flt_fail(FLTE_FORMAT, who, "%zu bytes behind the last tensor belong to none", data_size - next);
}

static flt_err read_entries(const char *who, flt_st_header *h) {
    FLTX_TRY(flt_alloc((size_t)cJSON_GetArraySize(h->root), sizeof *h->entry, &h->entry));
    for (const cJSON *x = h->root->child; x != NULL; x = x->next) {
        if (strcmp(x->string, FLTX_ST_METADATA) == 0) {
            h->meta = x;
            FLTX_TRY(check_meta(who, x));
            continue;
        }
        h->entry[h->n].place = h->n;
        FLTX_TRY(read_entry(who, x, &h->entry[h->n]));
        h->n++;
    }
    return check_unique(who, "the name", h->root);
}

flt_err flt_st_header_parse(const char *who, const unsigned char *text, size_t size, size_t data_size, flt_st_header *out) {
    enum { SLACK = 16 }; // zeros behind the text: cJSON before 1.7.18 may look one byte too far
    char *copy = NULL;
    flt_err err = FLTE_OK;
    *out = (flt_st_header){0};
    FLTX_TRY(flt_alloc(size + SLACK, 1, &copy));
    memcpy(copy, text, size);
    FLTX_GO(err, done, parse_json(who, copy, size, &out->root));
    FLTX_GO(err, done, read_entries(who, out));
    if (out->n > 1) qsort(out->entry, out->n, sizeof *out->entry, by_data);
    err = check_tiling(who, out, data_size);
done:
    flt_free(copy);
    if (err != FLTE_OK) flt_st_header_free(out);
    return err;
}

void flt_st_header_free(flt_st_header *h) {
    cJSON_Delete(h->root);
    flt_free(h->entry);
    *h = (flt_st_header){0};
}
