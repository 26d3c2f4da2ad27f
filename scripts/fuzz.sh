#!/bin/sh
# Fuzzes the tensor file reader: scripts/fuzz.sh [SECONDS, default 60]. Needs clang. The corpus and what fails stay in build/fuzz/.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
cmake -S . -B build/fuzz -DCMAKE_C_COMPILER=clang -DFLT_FUZZ=ON -DFLT_TESTS=OFF >build/fuzz.log 2>&1 || { cat build/fuzz.log; exit 1; }
cmake --build build/fuzz --target fuzz_tensorfile
cd build/fuzz
mkdir -p corpus

# seed NAME HEADER DATA: a tensor file, the length of whose header is below 256
seed() { # shellcheck disable=SC2059
    { printf "\\$(printf %03o ${#2})\\0\\0\\0\\0\\0\\0\\0%s%s" "$2" "$3"; } >"corpus/$1"
}
seed one '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' 12345678
seed two '{"a":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"b":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]}}' 123456789012
seed meta '{"__metadata__":{"k":"v\u00e9\n"},"a":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}}' ''
cat >words.dict <<'WORDS'
"\"dtype\":"
"\"shape\":"
"\"data_offsets\":"
"\"F32\""
"\"F64\""
"__metadata__"
"\\u0000"
"\\ud83d\\ude00"
"9007199254740992"
"1e999"
WORDS
core/fuzz_tensorfile -max_total_time="${1:-60}" -max_len=4096 -dict=words.dict -print_final_stats=1 corpus
