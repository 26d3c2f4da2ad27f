# The shared library (every component in one), headers, program, and what pkg-config and find_package(flt) read.
add_library(flt_shared SHARED ${PROJECT_SOURCE_DIR}/scripts/cmake/empty.c)
set_target_properties(flt_shared PROPERTIES OUTPUT_NAME flt EXPORT_NAME flt VERSION ${PROJECT_VERSION} SOVERSION 0)
set(archives flt_results flt_verify flt_optimizers flt_tasks flt_core)
set(files "")
foreach(archive IN LISTS archives)
    list(APPEND files $<TARGET_FILE:${archive}>)
endforeach()
add_dependencies(flt_shared ${archives})
target_link_libraries(flt_shared PRIVATE -Wl,--whole-archive ${files} -Wl,--no-whole-archive flt_flags PkgConfig::OPENBLAS
    PkgConfig::FFTW3F PkgConfig::FFTW3 PkgConfig::CJSON PkgConfig::SQLITE3 ZLIB::ZLIB OpenMP::OpenMP_C m)
set_property(TARGET flt_shared APPEND PROPERTY LINK_DEPENDS ${files})

target_include_directories(flt_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_definitions(flt_shared INTERFACE $<$<BOOL:${FLT_DOUBLE}>:FLTX_DOUBLE>)

install(TARGETS flt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS flt_shared EXPORT flt LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(component core tasks optimizers verify results) # but for what is the library's own: vectors of kernels, planted bugs
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${component}/include/flt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h"
        PATTERN simd.h EXCLUDE PATTERN plant.h EXCLUDE)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/optimizers/weights/flt.safetensors DESTINATION ${CMAKE_INSTALL_DATADIR}/flt)
set(FLT_PC_CFLAGS "")
if(FLT_DOUBLE)
    set(FLT_PC_CFLAGS "-DFLTX_DOUBLE")
endif()
# The tree may be installed to another prefix than the configured one (cmake --install --prefix): flt.pc finds it from where it lies.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(FLT_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
else()
    file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(FLT_PC_PREFIX "\${pcfiledir}/${up}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/scripts/cmake/flt.pc.in ${PROJECT_BINARY_DIR}/flt.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/flt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

include(CMakePackageConfigHelpers)
set(FLT_CMAKE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/flt)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fltConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT flt FILE fltConfig.cmake NAMESPACE flt:: DESTINATION ${FLT_CMAKE_FOLDER})
install(FILES ${PROJECT_BINARY_DIR}/fltConfigVersion.cmake DESTINATION ${FLT_CMAKE_FOLDER})
