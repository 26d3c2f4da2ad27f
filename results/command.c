// SPDX-License-Identifier: MIT
// A command line as text: as a JSON array, which is exact, and quoted for a shell, which can be run again.
#include <stdio.h>
#include <string.h>

#include "store.h"
#include "text.h"

// JSON and SQLite's text are UTF-8; a byte that is not part of it (an old file name) is kept as the character of that number.
static size_t utf8_length(const unsigned char *p) {
    const size_t n = p[0] < 0x80                   ? 1
                     : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                     : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                   : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

static void append_json(flt_text *t, const char *word) {
    char escape[8];
    flt_text_append(t, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)word; *p != 0;) {
        const size_t n = utf8_length(p);
        if (n == 0 || *p < 0x20 || *p == '"' || *p == '\\')
            flt_text_append(t, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *p));
        else
            flt_text_append(t, (const char *)p, n);
        p += n == 0 ? 1 : n;
    }
    flt_text_append(t, "\"", 1);
}

static void append_quoted(flt_text *t, const char *word) {
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^";
    if (word[0] != 0 && strspn(word, plain) == strlen(word)) {
        flt_text_append(t, word, strlen(word));
        return;
    }
    flt_text_append(t, "'", 1);
    for (const char *p = word; *p != 0; p++) flt_text_append(t, *p == '\'' ? "'\\''" : p, *p == '\'' ? 4 : 1);
    flt_text_append(t, "'", 1);
}

flt_err flt_command_text(int argc, char *const *argv, char **json, char **command) {
    flt_text j = {0}, c = {0};
    flt_text_append(&j, "[", 1);
    flt_text_append(&c, "", 0);
    for (int i = 0; i < argc; i++) {
        if (i > 0) flt_text_append(&j, ",", 1);
        if (i > 0) flt_text_append(&c, " ", 1);
        append_json(&j, argv[i]);
        append_quoted(&c, argv[i]);
    }
    flt_text_append(&j, "]", 1);
    *json = j.data;
    *command = c.data;
    return j.err != FLTE_OK ? j.err : c.err;
}
