// SPDX-License-Identifier: MIT
// Error codes, their texts and exit statuses from one list; one sentence per thread says what went wrong.
//
// Libraries return a code and leave a sentence: who; what was given; what is allowed; a hint. They never print or exit.
//
// NULL. Functions that return flt_err refuse it with FLTE_USAGE, naming themselves and the argument, unless the argument is said
// to be optional or is an array of no elements. Destroy and free functions take it. Everything else (forward, step, run, queries,
// vector functions, writing through pointers of a descriptor) looks at nothing: plans are made where mistakes can be told.
#ifndef FLTX_ERROR_H
#define FLTX_ERROR_H

#include "flt/real.h"

FLTX_BEGIN_DECLS

// X(name, exit status of the program, text)
#define FLTX_ERRORS(X)                                                                                                           \
    X(FLTE_OK, 0, "fine")                                                                                                        \
    X(FLTE_CHECK, 1, "a check failed")                                                                                           \
    X(FLTE_USAGE, 2, "bad usage")                                                                                                \
    X(FLTE_NAME, 2, "unknown name")                                                                                              \
    X(FLTE_RANGE, 2, "value out of range")                                                                                       \
    X(FLTE_UNSUPPORTED, 2, "not supported")                                                                                      \
    X(FLTE_SHAPE, 3, "wrong shape")                                                                                              \
    X(FLTE_FORMAT, 3, "malformed file")                                                                                          \
    X(FLTE_IO, 3, "input or output failed")                                                                                      \
    X(FLTE_NOMEM, 3, "out of memory")                                                                                            \
    X(FLTE_DB, 3, "database failed")                                                                                             \
    X(FLTE_INTERRUPTED, 3, "interrupted")                                                                                        \
    X(FLTE_INTERNAL, 3, "internal error")                                                                                        \
    X(FLTE_NUMERIC, 4, "numerical failure")

#define FLTX_ENUM(name, status, text) name,
typedef enum flt_err { FLTX_ERRORS(FLTX_ENUM) FLTX_N_ERRORS } flt_err;
#undef FLTX_ENUM

#define FLTX_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

// Records "who: sentence" for this thread and returns `code`. A newer failure replaces an older one. At most 1023 bytes, without
// control characters.
flt_err flt_fail(flt_err code, const char *who, const char *format, ...) FLTX_PRINTF(3, 4);

// Appends "; context" to the recorded sentence (at most once per level of the program) and returns `code` unchanged.
flt_err flt_context(flt_err code, const char *format, ...) FLTX_PRINTF(2, 3);

// Records a sentence that was kept, word for word, and returns `code`.
flt_err flt_error_restore(flt_err code, const char *sentence);

const char *flt_error(void);            // the sentence of this thread's last failure, "" when there was none
const char *flt_err_text(flt_err code); // the code's text, "unknown error" outside the list
const char *flt_err_name(flt_err code); // "FLTE_SHAPE"
int flt_err_status(flt_err code);       // exit status of the program, 3 outside the list
void flt_error_clear(void);

// Returns early with the code of a failing call.
#define FLTX_TRY(call)                                                                                                           \
    do {                                                                                                                         \
        const flt_err fltx_err_ = (call);                                                                                        \
        if (fltx_err_ != FLTE_OK) return fltx_err_;                                                                              \
    } while (0)

// Returns early where one of the pointers, a list of arguments, is NULL: FLTX_GIVEN(desc, out);
#define FLTX_GIVEN(...) FLTX_TRY(flt_given(__func__, #__VA_ARGS__, (const bool[]){__VA_ARGS__}))

// FLTE_USAGE naming the first of `names` ("desc, out") whose given[] is false.
flt_err flt_given(const char *who, const char *names, const bool *given);

// Jumps to `label` with `err` set, for constructors that have one failure exit.
#define FLTX_GO(err, label, call)                                                                                                \
    do {                                                                                                                         \
        (err) = (call);                                                                                                          \
        if ((err) != FLTE_OK) goto label;                                                                                        \
    } while (0)

FLTX_END_DECLS

#endif
