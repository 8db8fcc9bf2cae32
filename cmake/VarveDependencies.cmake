# What the engine links: xxHash and zstd from the system, and mimalloc, which becomes a part of varve.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
# xxHash has no CMake package, so both are asked of pkg-config, here as in the installed varve-config.cmake.
find_package(PkgConfig REQUIRED)
pkg_check_modules(VARVE_XXHASH REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
pkg_check_modules(VARVE_ZSTD REQUIRED IMPORTED_TARGET GLOBAL libzstd)

# mimalloc is compiled from source, because the packaged library replaces the malloc of the whole program. Here the
# override stays off: it defines no malloc, free or operator new, only mi_* functions, and VarveLibrary.cmake makes
# these local to libvarve.a. tests/library_symbols_test.sh checks it.
set(VARVE_MIMALLOC_SOURCE_DIR "/usr/local/src/varve/mimalloc" CACHE PATH "Directory of mimalloc's source")
if(NOT EXISTS "${VARVE_MIMALLOC_SOURCE_DIR}/src/static.c")
  message(FATAL_ERROR
    "The source of mimalloc is not in ${VARVE_MIMALLOC_SOURCE_DIR}.\n"
    "Run tools/install-dependencies.sh, which puts it there, or set VARVE_MIMALLOC_SOURCE_DIR.")
endif()
add_library(varve_mimalloc OBJECT "${VARVE_MIMALLOC_SOURCE_DIR}/src/static.c")
set_target_properties(varve_mimalloc PROPERTIES
  C_STANDARD 11 POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_include_directories(varve_mimalloc SYSTEM PUBLIC "${VARVE_MIMALLOC_SOURCE_DIR}/include")
target_compile_definitions(varve_mimalloc PRIVATE
  # 1 in debug builds: finds double frees and overwritten free lists. Above 1 mimalloc checks itself.
  MI_DEBUG=$<IF:$<CONFIG:Debug>,1,0>
  # mimalloc's C build defines a weak std::get_new_handler, which would shadow the host's: give it a name of its own.
  _ZSt15get_new_handlerv=mi_varve_get_new_handler)
target_compile_options(varve_mimalloc PRIVATE -ftls-model=initial-exec -w)
target_link_libraries(varve_mimalloc PRIVATE varve_machine_flags)

file(STRINGS "${VARVE_MIMALLOC_SOURCE_DIR}/include/mimalloc.h" mimalloc_version REGEX "define MI_MALLOC_VERSION")
string(REGEX REPLACE ".*VERSION +([0-9])([0-9])([0-9]+).*" "\\1.\\2.\\3" VARVE_MIMALLOC_VERSION "${mimalloc_version}")
