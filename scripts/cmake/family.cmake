# Families of kinds. Each .c file directly in FOLDER defines one constant descriptor
#     const TYPE flt_<NAME>_kind_<file> = { .kind = { .name = "<file>", .. }, .. };
# and this lists them in a generated table with flt_<NAME>_registry() and flt_<NAME>_find(). Adding a file and building re-runs
# the glob; a missing descriptor fails at link with its name. Shared code of a family sits in FOLDER/engine/.
function(flt_family target)
    cmake_parse_arguments(F "" "NAME;NOUN;TYPE;HEADER;FOLDER" "CAPS" ${ARGN})
    file(GLOB files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${F_FOLDER}/*.c")
    list(SORT files)
    set(externs "")
    set(rows "")
    foreach(file IN LISTS files)
        get_filename_component(stem "${file}" NAME_WE)
        string(APPEND externs "extern const ${F_TYPE} flt_${F_NAME}_kind_${stem};\n")
        string(APPEND rows "    &flt_${F_NAME}_kind_${stem}.kind,\n")
    endforeach()
    set(caps "")
    foreach(cap IN LISTS F_CAPS)
        string(APPEND caps "\"${cap}\", ")
    endforeach()
    set(table "${CMAKE_CURRENT_BINARY_DIR}/${F_NAME}_table.c")
    set(text "// Generated from the files of ${F_FOLDER}/; do not edit.
#include \"${F_HEADER}\"

${externs}
static const flt_kind *const kinds[] = {
${rows}    NULL,
};
static const char *const caps[] = {${caps}NULL};
static const flt_registry registry = {\"${F_NAME}\", \"${F_NOUN}\", kinds, caps};

const flt_registry *flt_${F_NAME}_registry(void) { return &registry; }

flt_err flt_${F_NAME}_find(const char *name, const ${F_TYPE} **out) {
    FLTX_GIVEN(out);
    const flt_kind *kind = NULL;
    *out = NULL;
    FLTX_TRY(flt_registry_find(&registry, name, &kind));
    *out = (const ${F_TYPE} *)kind; // flt_kind is the first member
    return FLTE_OK;
}
")
    set(old "")
    if(EXISTS "${table}")
        file(READ "${table}" old)
    endif()
    if(NOT old STREQUAL text)
        file(WRITE "${table}" "${text}")
    endif()
    target_sources(${target} PRIVATE ${files} "${table}")
endfunction()
