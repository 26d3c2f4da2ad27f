// SPDX-License-Identifier: MIT
// What launchers tell their processes through the environment.
#ifndef FLTX_LAUNCHER_H
#define FLTX_LAUNCHER_H

#include <stdlib.h>

// Ranks in the job: Open MPI; PMI (MPICH, Intel MPI, srun --mpi=pmi2); MVAPICH. 0: nobody says.
static inline long flt_launcher_ranks(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL && text[0] != '\0') return strtol(text, NULL, 10);
    }
    return 0;
}

#endif
