# flt_tests(component targets..): each tests/test_*.c of the current folder is a Criterion program run through CTest.
function(flt_tests component)
    if(NOT FLT_TESTS)
        return()
    endif()
    file(GLOB files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/tests/test_*.c")
    foreach(file IN LISTS files)
        get_filename_component(stem "${file}" NAME_WE)
        string(REPLACE "test_" "${component}_" name "${stem}")
        add_executable(test_${name} "${file}")
        target_include_directories(test_${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}") # engine/.., core/tests/..
        target_link_libraries(test_${name} PRIVATE ${ARGN} flt_flags PkgConfig::CRITERION m)
        flt_add_test(${name} test_${name} -j2)
    endforeach()
endfunction()

# One CTest entry with the guards that Criterion needs: a filter that matches nothing, a leak in a worker and a sanitizer's
# report do not fail by themselves.
function(flt_add_test name)
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300
        ENVIRONMENT "OPENBLAS_NUM_THREADS=1;OMP_NUM_THREADS=2;OMP_WAIT_POLICY=passive;FLT_SOURCE_DIR=${PROJECT_SOURCE_DIR};FLT_PROGRAM=$<TARGET_FILE:flt>;LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/scripts/cmake/lsan.supp:print_suppressions=0"
        FAIL_REGULAR_EXPRESSION "Tested: 0 ;Unexpected signal;ERROR: (Address|Leak)Sanitizer;runtime error:")
endfunction()
