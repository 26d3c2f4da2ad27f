// SPDX-License-Identifier: MIT
// The shared library is made of the components; CMake wants one source file of its own.
typedef int flt_shared_is_made_of_archives;
