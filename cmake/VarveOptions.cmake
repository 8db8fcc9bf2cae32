# What can be chosen when varve is configured, and the compiler flags that follow.
#
# Nothing here reaches a host project: flags sit on varve_build_flags, which only varve's own targets link, and global
# variables are touched only when varve is itself the top of the build.

option(VARVE_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(VARVE_BUILD_TOOLS "Build varve, sst-dump and db-bench" ${PROJECT_IS_TOP_LEVEL})
option(VARVE_BUILD_BENCHMARKS "Build the micro-benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(VARVE_BUILD_FUZZERS "Build the libFuzzer targets (clang; preset fuzz)" OFF)
option(VARVE_WITH_PEERS "Let db-bench compare with the other engines that are installed" ON)
option(VARVE_NATIVE "Use every instruction of this machine's processor; the result runs only on such machines" OFF)
option(VARVE_WARNINGS "Compile with -Wall -Wextra -Werror" ${PROJECT_IS_TOP_LEVEL})
option(VARVE_SCHEDULER "Let tests run the engine's threads by a deterministic scheduler" OFF)
set(VARVE_SANITIZE "" CACHE STRING "Empty, address (with undefined), thread, or fuzzer (with address and undefined)")
set_property(CACHE VARVE_SANITIZE PROPERTY STRINGS "" address thread fuzzer)

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
  endif()
  set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(VARVE_CCACHE ccache)
  mark_as_advanced(VARVE_CCACHE)
  foreach(language C CXX)
    if(VARVE_CCACHE AND NOT CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER "${VARVE_CCACHE}")
    endif()
  endforeach()
endif()

# varve_machine_flags: what all compiled code shares, mimalloc's C included.
# varve_build_flags: that, and what varve's own C++ is held to.
add_library(varve_machine_flags INTERFACE)
add_library(varve_build_flags INTERFACE)
target_link_libraries(varve_build_flags INTERFACE varve_machine_flags)

if(VARVE_NATIVE)
  target_compile_options(varve_machine_flags INTERFACE -march=native)
endif()

target_compile_features(varve_build_flags INTERFACE cxx_std_20)
# Assertions name files from the root of the checkout, wherever it was built.
target_compile_options(varve_build_flags INTERFACE -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(VARVE_WARNINGS)
  target_compile_options(varve_build_flags INTERFACE
    -Wall -Wextra -Werror
    $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Wthread-safety>
    # gcc 12 takes the short-string buffer of a std::string just filled for uninitialised.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
# Debug and sanitizer builds check more, and let tests stop the engine at its sync points.
target_compile_definitions(varve_build_flags INTERFACE $<$<CONFIG:Debug>:VARVE_DEBUG=1;VARVE_SYNC_POINTS=1>)

if(VARVE_SCHEDULER)
  target_compile_definitions(varve_build_flags INTERFACE VARVE_SCHEDULER=1)
endif()

if(VARVE_SANITIZE)
  if(VARVE_SANITIZE STREQUAL "address")
    set(common -fsanitize=address)
    set(ours -fsanitize=undefined -fno-sanitize-recover=all)
  elseif(VARVE_SANITIZE STREQUAL "thread")
    set(common -fsanitize=thread)
    set(ours "")
  elseif(VARVE_SANITIZE STREQUAL "fuzzer")
    set(common -fsanitize=address)
    set(ours -fsanitize=undefined -fno-sanitize-recover=all -fsanitize=fuzzer-no-link)
  else()
    message(FATAL_ERROR "VARVE_SANITIZE is '${VARVE_SANITIZE}'; it can be empty, address, thread or fuzzer")
  endif()
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    message(FATAL_ERROR "VARVE_SANITIZE needs CMAKE_BUILD_TYPE=Debug: sanitizer builds check what debug builds check")
  endif()
  if(PROJECT_IS_TOP_LEVEL)
    foreach(language C CXX)
      set(CMAKE_${language}_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
    endforeach()
  endif()
  # mimalloc does arithmetic that the undefined-behaviour sanitizer rejects, so only the others see it.
  target_compile_options(varve_machine_flags INTERFACE ${common})
  target_link_options(varve_machine_flags INTERFACE ${common})
  target_compile_options(varve_build_flags INTERFACE ${ours})
  target_link_options(varve_build_flags INTERFACE ${ours})
endif()
