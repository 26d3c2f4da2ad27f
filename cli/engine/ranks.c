// SPDX-License-Identifier: MIT
#include "engine/ranks.h"

#include "engine/session.h"
#include "flt/num.h"
#include "flt/results.h"
#include "flt_mpi.h"

#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static flt_ranks *joined, *ranks;

flt_err flt_program_join(int *argc, char ***argv) {
    FLTX_TRY(flt_mpi_begin(argc, argv, &joined));
    ranks = joined;
    if (!flt_program_first() && freopen("/dev/null", "w", stdout) == NULL)
        return flt_fail(FLTE_IO, "/dev/null", "cannot be opened");
    return FLTE_OK;
}

void flt_program_alone(void) {
    ranks = NULL;
}

void flt_program_leave(int status) {
    flt_mpi_end(joined, status);
    joined = ranks = NULL;
}

const flt_ranks *flt_program_ranks(void) {
    return ranks;
}

bool flt_program_first(void) {
    return flt_ranks_me(ranks) == 0;
}

// A launcher that gave each rank cores of its own has shared them out already.
int flt_program_threads(void) {
    const int cores = omp_get_max_threads();
    if (ranks == NULL || getenv("OMP_NUM_THREADS") != NULL || omp_get_num_procs() < sysconf(_SC_NPROCESSORS_ONLN)) return cores;
    return cores > ranks->here ? cores / ranks->here : 1;
}

const char *flt_program_launcher(void) {
    return flt_mpi_library();
}

flt_err flt_program_alike(void) {
    char hash[32];
    flt_provenance from;
    if (ranks == NULL) return FLTE_OK;
    flt_provenance_get(&from);
    snprintf(hash, sizeof hash, "%016" PRIx64, flt_program_hash());
    FLTX_TRY(flt_ranks_same(ranks, "commits", from.commit));
    FLTX_TRY(flt_ranks_same(ranks, "flags of the build", from.flags));
    FLTX_TRY(flt_ranks_same(ranks, "registries", hash));
    return flt_ranks_same(ranks, "kernels (FLT_ISA forces them)", flt_num_isa());
}
