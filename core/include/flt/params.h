// SPDX-License-Identifier: MIT
// Typed parameters of a kind: a static table of specifications and a bag of values parsed from text.
#ifndef FLTX_PARAMS_H
#define FLTX_PARAMS_H

#include "flt/error.h"

FLTX_BEGIN_DECLS

typedef enum flt_param_type {
    FLTX_REAL, // strtod, whole text consumed, finite, min <= x <= max
    FLTX_INT,  // strtoll, whole text consumed, min <= x <= max
    FLTX_BOOL, // true/false, yes/no, on/off, 1/0
    FLTX_TEXT, // anything
    FLTX_ENUM, // one of `choices`, separated by '|'
} flt_param_type;

typedef struct flt_param_spec {
    const char *name;
    flt_param_type type;
    const char *initial; // the default, as text; NULL: no default, flt_params_has() is false until set
    double min, max;     // FLTX_REAL, FLTX_INT; inclusive
    const char *choices; // FLTX_ENUM: "relu|gelu|tanh"
    const char *help;    // one line, with the unit
} flt_param_spec;        // tables end with a row whose name is NULL

typedef struct flt_params flt_params;

// Values at their defaults; *out is NULL on failure. `who` names the owner in sentences ("task digits_mlp") and is copied;
// `specs` is borrowed for the object's life (static tables). specs may be NULL: no parameters.
flt_err flt_params_create(const char *who, const flt_param_spec *specs, flt_params **out);
flt_err flt_params_clone(const flt_params *from, flt_params **out); // FLTE_NOMEM
void flt_params_destroy(flt_params *p);

// Errors: FLTE_NAME (with the valid names and the nearest), FLTE_USAGE (not a number), FLTE_RANGE (with the range or choices).
flt_err flt_params_set(flt_params *p, const char *name, const char *text);
// A failing call leaves the value as it was. The later of two settings counts; a value cannot hold a comma in a list.
// text: "width=32,batch=64"; "" is fine. On failure the earlier ones stay set.
flt_err flt_params_parse(flt_params *p, const char *text);

// Reading what has no value yet gives 0, false, "".
bool flt_params_has(const flt_params *p, const char *name);
bool flt_params_is_set(const flt_params *p, const char *name); // false while the value is the table's default
double flt_params_real(const flt_params *p, const char *name); // asking for an undeclared name is a bug: aborts in debug
long long flt_params_int(const flt_params *p, const char *name);
size_t flt_params_size(const flt_params *p, const char *name); // an FLTX_INT whose range is >= 0
bool flt_params_bool(const flt_params *p, const char *name);
const char *flt_params_text(const flt_params *p, const char *name); // the value as text, for every type; borrowed until set
const flt_param_spec *flt_params_specs(const flt_params *p);        // as given to create

// Number parsing with full-consumption checks, for the command line as well: finite numbers without blanks around them.
// Errors: FLTE_USAGE (not a number), FLTE_RANGE (infinite, or beyond 64 bits).
flt_err flt_parse_real(const char *who, const char *text, double *out);
flt_err flt_parse_int(const char *who, const char *text, long long *out);

FLTX_END_DECLS

#endif
