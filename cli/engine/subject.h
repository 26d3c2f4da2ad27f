// SPDX-License-Identifier: MIT
// Who is compared: [LABEL=]NAME[:key=value/key=value..][@FILE], an optimizer under a label with settings and weights of its own.
#ifndef FLTX_CLI_SUBJECT_H
#define FLTX_CLI_SUBJECT_H

#include "engine/args.h"
#include "flt/optimizer.h"

typedef struct flt_subject {
    const flt_optimizer_kind *kind;
    char label[48];     // the kind's name where none was given
    char settings[256]; // "key=value/key=value"
    const char *file;   // NULL: --weights, else the optimizer's own initialisation
} flt_subject;

// `text` outlives *out. FLTE_USAGE, FLTE_NAME: what is wrong and how it is written.
flt_err flt_subject_parse(const char *text, flt_subject *out);
// Labels that are given twice, or that eval's own rows have.
flt_err flt_subjects_check(size_t n, const flt_subject *subjects);
bool flt_subject_learned(const flt_subject *s);
const char *flt_subject_file(const flt_subject *s, const char *weights); // NULL: none
// Defaults, then --set where the kind knows it, then its own settings; then the file.
flt_err flt_subject_load(const flt_subject *s, const flt_common *c, const char *weights, flt_weights *out);
// All settings but defaults, "key=value,key=value".
void flt_subject_options(const flt_subject *s, const flt_common *c, const char *more, size_t size, char *out);

#endif
