# libvarve.a: the objects of all engine folders in one archive, which is what embedding programs link.
#
# memory/ and mimalloc are first joined into one object in which mimalloc's functions are local. So a host may use a
# mimalloc of its own, of any version, and neither meets the other.

set(joined "${PROJECT_BINARY_DIR}/generated/memory_joined.o")
set(localized "${PROJECT_BINARY_DIR}/generated/memory.o")
add_custom_command(
  OUTPUT "${localized}"
  COMMAND "${CMAKE_LINKER}" -r -o "${joined}" $<TARGET_OBJECTS:varve_memory> $<TARGET_OBJECTS:varve_mimalloc>
  COMMAND "${CMAKE_OBJCOPY}" --wildcard "--localize-symbol=mi_*" "--localize-symbol=_mi_*" "${joined}" "${localized}"
  DEPENDS $<TARGET_OBJECTS:varve_memory> $<TARGET_OBJECTS:varve_mimalloc>
  COMMENT "Joining memory/ with mimalloc"
  COMMAND_EXPAND_LISTS VERBATIM)

set(objects "${localized}")
foreach(folder IN LISTS VARVE_ENGINE_FOLDERS)
  if(NOT folder STREQUAL "memory")
    list(APPEND objects $<TARGET_OBJECTS:varve_${folder}>)
  endif()
endforeach()
set_source_files_properties("${localized}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_library(varve STATIC ${objects})
add_library(varve::varve ALIAS varve)
set_target_properties(varve PROPERTIES LINKER_LANGUAGE CXX)
target_compile_features(varve INTERFACE cxx_std_20)
target_include_directories(varve INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(varve INTERFACE PkgConfig::VARVE_XXHASH PkgConfig::VARVE_ZSTD Threads::Threads)

# What varve's own tools and tests link: the folders themselves, whose internals they may see.
add_library(varve_engine INTERFACE)
foreach(folder IN LISTS VARVE_ENGINE_FOLDERS)
  target_link_libraries(varve_engine INTERFACE varve_${folder})
endforeach()

# Installation: header files, archive, CMake package and pkg-config file.
option(VARVE_INSTALL "Install varve with the project that contains it" ${PROJECT_IS_TOP_LEVEL})
if(NOT VARVE_INSTALL)
  return()
endif()
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/varve")
install(TARGETS varve EXPORT varve ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/varve" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library
        FILES_MATCHING PATTERN "*.h")
install(EXPORT varve NAMESPACE varve:: FILE varve-targets.cmake DESTINATION ${package_dir} COMPONENT library)
configure_package_config_file(cmake/varve-config.cmake.in "${PROJECT_BINARY_DIR}/varve-config.cmake"
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/varve-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/varve-config.cmake" "${PROJECT_BINARY_DIR}/varve-config-version.cmake"
        DESTINATION ${package_dir} COMPONENT library)

# Paths in the pkg-config file are relative to it, so that an installed tree can be moved.
file(RELATIVE_PATH pc_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(cmake/varve.pc.in "${PROJECT_BINARY_DIR}/varve.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/varve.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT library)
install(FILES LICENSE THIRD_PARTY_LICENSES.md DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT library)
