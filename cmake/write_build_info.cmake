# Run by the target varve_build_info (see VarveBuildInfo.cmake) with the variables that build_info.h.in names.

find_package(Git QUIET)
set(REVISION "unknown")
if(Git_FOUND)
  # --git-dir is not given: a copy of the sources inside another repository must not report that one's revision.
  execute_process(
    COMMAND "${GIT_EXECUTABLE}" -C "${SOURCE_DIR}" rev-parse --show-toplevel
    OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  file(REAL_PATH "${SOURCE_DIR}" source_dir)
  if(top STREQUAL source_dir)
    execute_process(
      COMMAND "${GIT_EXECUTABLE}" -C "${SOURCE_DIR}" describe --always --dirty --abbrev=12 --match=v[0-9]*
      OUTPUT_VARIABLE described RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(NOT failed)
      set(REVISION "${described}")
    endif()
  endif()
endif()
configure_file("${TEMPLATE}" "${OUTPUT}" @ONLY)
