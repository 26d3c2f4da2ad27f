// SPDX-License-Identifier: MIT
// Sharing of data sets: the shipped one lives in static storage, those from folders are counted and freed by their last user.
#include "engine/dataset.h"
#include "engine/idx.h"
#include "flt/memory.h"

#include <pthread.h>
#include <string.h>

typedef struct entry {
    struct entry *next;
    char *where;
    size_t users;
    flt_dataset *data;
} entry;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static entry *folders;

void flt_dataset_frame(const flt_dataset *d, const unsigned char *image, unsigned char *place) {
    for (size_t y = 0; y < d->height; y++) memcpy(place + (y + 1) * (d->width + 2) + 1, image + y * d->width, d->width);
}

static void entry_destroy(entry *e) {
    if (e == NULL) return;
    flt_idx_free(e->data);
    flt_free(e->where);
    flt_free(e);
}

static flt_err entry_create(const char *who, const char *where, entry **out) {
    entry *e = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *e, &e));
    FLTX_GO(err, fail, flt_strdup(where, &e->where));
    FLTX_GO(err, fail, flt_idx_load(who, where, &e->data));
    *out = e;
    return FLTE_OK;
fail:
    entry_destroy(e);
    return err;
}

static flt_err open_folder(const char *who, const char *where, const flt_dataset **out) {
    entry *e = folders;
    while (e != NULL && strcmp(e->where, where) != 0) e = e->next;
    if (e == NULL) {
        FLTX_TRY(entry_create(who, where, &e));
        e->next = folders;
        folders = e;
    }
    e->users++;
    *out = e->data;
    return FLTE_OK;
}

flt_err flt_dataset_open(const char *who, const char *where, const flt_dataset **out) {
    *out = NULL;
    pthread_mutex_lock(&mutex);
    const flt_err err = strcmp(where, "digits") == 0 ? flt_optdigits_load(out) : open_folder(who, where, out);
    pthread_mutex_unlock(&mutex);
    return err;
}

void flt_dataset_close(const flt_dataset *d) {
    entry *last = NULL;
    pthread_mutex_lock(&mutex);
    for (entry **link = &folders; *link != NULL; link = &(*link)->next) {
        entry *e = *link;
        if (e->data != d) continue;
        if (--e->users == 0) {
            *link = e->next;
            last = e;
        }
        break; // the shipped data are in no entry: nothing to do for them
    }
    pthread_mutex_unlock(&mutex);
    entry_destroy(last);
}
