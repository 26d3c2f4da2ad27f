// SPDX-License-Identifier: MIT
// A build without MPI: alone, and refusing to run several times at once what was meant to be one job.
#include "meta/mpi/flt_mpi.h"
#include "meta/mpi/launcher.h"

const char *flt_mpi_library(void) {
    return "none";
}

flt_err flt_mpi_begin(int *argc, char ***argv, flt_ranks **out) {
    (void)argc, (void)argv;
    *out = NULL;
    const long ranks = flt_launcher_ranks();
    if (ranks <= 1) return FLTE_OK;
    return flt_fail(FLTE_USAGE, "MPI",
                    "a launcher started %ld processes, but this flt was built without MPI; build it with -DFLT_MPI=ON "
                    "(scripts/setup.sh --mpi installs one)",
                    ranks);
}

void flt_mpi_end(flt_ranks *r, int status) {
    (void)r, (void)status;
}
