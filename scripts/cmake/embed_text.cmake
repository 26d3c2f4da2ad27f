# cmake -D IN=page/style.css -D NAME=flt_page_style -D OUT=page_style.c -P embed_text.cmake: a text file as a C string.
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " hex "${hex}")
get_filename_component(file "${IN}" NAME)
file(WRITE "${OUT}" "// Generated from results/page/${file}; do not edit.\n#include \"html.h\"\n\nconst char ${NAME}[] = {\n    ${hex}0};\n")
