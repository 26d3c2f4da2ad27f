# cmake --install gives a tree against which a small program compiles and runs; components can't include what they may not.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
prefix=$PWD/tree
cmake --install "$FLT_BUILD_DIR" --prefix "$prefix" >install.txt 2>&1 || fail "cmake --install: $(tail -n 3 install.txt)"
expect 0 '^flt [0-9]' "$prefix/bin/flt" --version
[ -e "$prefix/include/flt/attention.h" ] || fail 'no headers'
expect 0 '^quadratic  *flt' "$prefix/bin/flt" eval --optimizers flt@shipped --tasks quadratic --steps 2 --seeds 1
mv "$prefix/share/flt/flt.safetensors" aside
echo none >"$prefix/share/flt/flt.safetensors"
expect 3 "$prefix/share/flt/flt.safetensors" "$prefix/bin/flt" eval --optimizers flt@shipped --tasks quadratic --steps 2 --seeds 1
mv aside "$prefix/share/flt/flt.safetensors"

cat >consumer.c <<'C'
#include <flt/attention.h>
#include <stdio.h>
int main(void) {
    flt_real q[4 * 2] = {1, 2, 3, 4, 5, 6, 7, 8}, out[4 * 2];
    flt_attention *a = NULL;
    const flt_attention_desc d = {.mechanism = "flt", .B = 1, .H = 1, .N = 4, .d = 2, .dv = 2};
    if (flt_attention_create(&d, &a) != FLTE_OK) return puts(flt_error()), 1;
    flt_attention_forward(a, q, q, q, out);
    flt_attention_destroy(a);
    return out[0] >= 1 && out[0] <= 7 ? 0 : 1;
}
C
export PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name flt.pc)")
libraries=$(dirname "$(find "$prefix" -name 'libflt.so')")
flags=()
[ "$FLT_SANITIZE" = ON ] && flags=(-fsanitize=address,undefined)
# shellcheck disable=SC2046
cc "${flags[@]}" consumer.c -o consumer $(pkg-config --cflags --libs flt) 2>cc.txt || fail "the consumer does not compile: $(head -n 5 cc.txt)"
expect 0 '' env LD_LIBRARY_PATH="$libraries" ./consumer

mkdir project
cat >project/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C)
find_package(flt 0.1 REQUIRED)
add_executable(consumer ../consumer.c)
target_link_libraries(consumer PRIVATE flt::flt)
CMAKE
{ cmake -S project -B project/build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="${flags[*]}" && cmake --build project/build; } >cmake.txt 2>&1 ||
    fail "find_package(flt): $(tail -n 5 cmake.txt)"
expect 0 '' project/build/consumer

# alone COMPILER..: every installed header compiles by itself, without a warning
alone() {
    local header
    for header in "$prefix"/include/flt/*.h; do
        echo "#include <flt/${header##*/}>" >alone.x
        # shellcheck disable=SC2046
        "$@" -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags flt) alone.x 2>cc.txt ||
            fail "${header##*/} alone, by $1: $(grep -m 1 -E 'error|warning' cc.txt)"
    done
}
alone cc -x c -std=c17
for header in simd plant; do missing "$prefix/include/flt/$header.h"; done # C of kernels and tests

# every function that may fail is given NULL by a test, but for those that have no pointer that could be refused
no_row='flt_(fail|context|given|error_restore|sink_(metric|record)|ranks_(agree|same|cells))'
for name in $(sed -nE 's/^flt_err (flt_[a-z0-9_]+)\(.*/\1/p' "$prefix"/include/flt/*.h | grep -vxE "$no_row"); do
    grep -qE "REFUSED.*[^a-z_]$name\\(|[^a-z_]$name\\(.*FLTE_USAGE" "$FLT_SOURCE_DIR"/*/tests/test_*null.c || fail "no test gives NULL to $name"
done

# every declared function is in the library, and a C++ program finds it there; one of them makes a plan and runs it
if command -v "${CXX:-c++}" >/dev/null; then
    alone "${CXX:-c++}" -x c++ -std=c++17
    sed -nE 's/^[a-z][a-z0-9_ ]*[ *](flt_[a-z0-9_]+)\(.*/\1/p' "$prefix"/include/flt/*.h | sort -u >functions.txt
    [ "$(wc -l <functions.txt)" -gt 200 ] || fail "only $(wc -l <functions.txt) functions found in the headers"
    {
        for header in "$prefix"/include/flt/*.h; do echo "#include <flt/${header##*/}>"; done
        echo 'typedef void (*any)(); any functions[] = {'
        sed 's/.*/    reinterpret_cast<any>(\&&),/' functions.txt
        cat <<'CPP'
};
int main() {
    flt_real q[4 * 2] = {1, 2, 3, 4, 5, 6, 7, 8}, out[4 * 2];
    flt_attention *a = nullptr;
    flt_attention_desc d = {};
    d.mechanism = "flt";
    d.B = d.H = 1, d.N = 4, d.d = d.dv = 2;
    if (flt_attention_create(&d, &a) != FLTE_OK) return 1;
    flt_attention_forward(a, q, q, q, out);
    flt_attention_destroy(a);
    return out[0] >= 1 && out[0] <= 7 ? 0 : 2;
}
CPP
    } >consumer.cpp
    # shellcheck disable=SC2046
    "${CXX:-c++}" -std=c++17 "${flags[@]}" consumer.cpp -o consumer_cpp $(pkg-config --cflags --libs flt) 2>cc.txt ||
        fail "the C++ consumer does not link: $(grep -m 1 -E 'error|undefined' cc.txt)"
    expect 0 '' env LD_LIBRARY_PATH="$libraries" ./consumer_cpp
else
    echo "skipped: C++ (no compiler ${CXX:-c++})"
fi

# what a component may include is what its target exposes
forbidden() {
    local header=$1 component
    shift
    printf '#include "flt/%s"\n' "$header" >forbidden.c
    flags=()
    for component in "$@"; do flags+=(-I"$FLT_SOURCE_DIR/$component/include"); done
    cc "${flags[@]}" -fsyntax-only forbidden.c 2>/dev/null && fail "flt/$header compiles with only: $*"
}
forbidden tasks.h core optimizers
forbidden optimizer.h core tasks
forbidden results.h core tasks optimizers verify
forbidden verify.h core tasks optimizers
for component in tasks optimizers verify results cli; do
    grep -rnE '#include *[<"](cblas|fftw3)' "$FLT_SOURCE_DIR/$component" --include='*.[ch]' && fail "$component includes BLAS or FFTW itself"
done
grep -rnE '#include *[<"](cblas|fftw3)' "$FLT_SOURCE_DIR/core" --include='*.[ch]' | grep -v '/core/num/' && fail 'only core/num includes BLAS and FFTW'
for component in core tasks optimizers verify results; do
    grep -rnE '^[^/"]*\b(printf|puts|exit|abort)\(' "$FLT_SOURCE_DIR/$component" --include='*.c' | grep -v '/tests/' && fail "$component prints or exits"
done
finish
