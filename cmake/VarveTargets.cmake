# How varve's own targets are made.

# varve_sources(VARIABLE PATTERN...): the files that match, looked up again at every build.
macro(varve_sources variable)
  file(GLOB ${variable} CONFIGURE_DEPENDS ${ARGN})
endmacro()

# varve_compile_alone(FILE...): not joined with others where sources are compiled several at a time (CMAKE_UNITY_BUILD, as
# the sanitizer presets do): a name local to it is local to another one, too, unless a comment says why else.
function(varve_compile_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# Flags and include paths of every target: "lsm/memtable.h" from the root, "varve/status.h" from include/.
function(varve_configure_target target)
  set_target_properties(${target} PROPERTIES
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    UNITY_BUILD_CODE_BEFORE_INCLUDE "// NOLINTNEXTLINE(bugprone-suspicious-include)")
  target_include_directories(${target} PRIVATE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include" "${PROJECT_BINARY_DIR}/generated")
  target_link_libraries(${target} PRIVATE varve_build_flags)
endfunction()

# varve_add_library(TARGET SOURCES...): a static library; empty is allowed, so that a folder may begin with headers.
function(varve_add_library target)
  set(sources ${ARGN})
  if(NOT sources)
    set(sources "${PROJECT_BINARY_DIR}/generated/empty.cc")
    file(CONFIGURE OUTPUT "${sources}" CONTENT "// A library that has no source file yet.\n")
  endif()
  add_library(${target} STATIC ${sources})
  varve_configure_target(${target})
endfunction()

# varve_add_executable(TARGET OUTPUT_NAME FOLDER SOURCES...): FOLDER is below the build folder.
function(varve_add_executable target output_name folder)
  add_executable(${target} ${ARGN})
  varve_configure_target(${target})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME "${output_name}" RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/${folder}")
endfunction()

# varve_add_engine_folder(FOLDER LINKS...): the library varve_FOLDER of the folder that calls it.
function(varve_add_engine_folder folder)
  varve_sources(sources "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  varve_add_library(varve_${folder} ${sources})
  target_link_libraries(varve_${folder} PUBLIC ${ARGN})
endfunction()
