// SPDX-License-Identifier: MIT
#include "engine/verb.h"

int main(int argc, char **argv) {
    (void)argv;
    return argc > 1 ? 2 : 0;
}
