// SPDX-License-Identifier: MIT
// Which vector instructions the kernels use, decided once per process; flush-to-zero of the calling thread.
#include "flt/isa.h"
#include "flt/num.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
enum { FTZ_AND_DAZ = 0x8040 };
#endif

static const char *const names[] = {"portable", "avx2", "avx512"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static flt_isa chosen = FLTX_ISA_PORTABLE;

// __builtin_cpu_supports also asks whether the system saves the wide registers. Every processor with the features named here has
// the rest of its x86-64 level.
static flt_isa best(void) {
#if defined(FLTX_HAVE_X86_KERNELS)
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return v4 ? FLTX_ISA_AVX512 : v3 ? FLTX_ISA_AVX2 : FLTX_ISA_PORTABLE;
#else
    return FLTX_ISA_PORTABLE;
#endif
}

static void choose(void) {
    const char *asked = getenv("FLT_ISA");
    chosen = best();
    for (int i = 0; asked != NULL && i < (int)chosen; i++)
        if (strcmp(asked, names[i]) == 0) chosen = (flt_isa)i;
}

bool flt_isa_known(void) {
    const char *asked = getenv("FLT_ISA");
    if (asked == NULL || asked[0] == '\0') return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(asked, names[i]) == 0) return true;
    return false;
}

flt_isa flt_isa_current(void) {
    pthread_once(&once, choose);
    return chosen;
}

const char *flt_num_isa(void) {
    return names[flt_isa_current()];
}

unsigned flt_num_ftz(void) {
#if defined(__x86_64__)
    const unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | FTZ_AND_DAZ);
    return saved;
#else
    return 0;
#endif
}

void flt_num_ftz_restore(unsigned saved) {
#if defined(__x86_64__)
    _mm_setcsr((_mm_getcsr() & ~(unsigned)FTZ_AND_DAZ) | (saved & FTZ_AND_DAZ));
#else
    (void)saved;
#endif
}
