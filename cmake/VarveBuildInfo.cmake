# generated/base/build_info.h: version, git revision, compiler, libraries. Written at every build, but only touched when
# something in it changed, so that a commit recompiles just the few files that include it.

set(build_info_header "${PROJECT_BINARY_DIR}/generated/base/build_info.h")
add_custom_target(varve_build_info
  COMMAND "${CMAKE_COMMAND}"
    "-DSOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "-DTEMPLATE=${PROJECT_SOURCE_DIR}/cmake/build_info.h.in"
    "-DOUTPUT=${build_info_header}"
    "-DVERSION=${PROJECT_VERSION}"
    "-DCOMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
    "-DBUILD_TYPE=$<CONFIG>"
    "-DSANITIZE=${VARVE_SANITIZE}"
    "-DXXHASH_VERSION=${VARVE_XXHASH_VERSION}"
    "-DZSTD_VERSION=${VARVE_ZSTD_VERSION}"
    "-DMIMALLOC_VERSION=${VARVE_MIMALLOC_VERSION}"
    -P "${PROJECT_SOURCE_DIR}/cmake/write_build_info.cmake"
  BYPRODUCTS "${build_info_header}"
  COMMENT "Checking base/build_info.h"
  VERBATIM)
