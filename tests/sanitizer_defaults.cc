// What the sanitizers do in test binaries, unless ASAN_OPTIONS and so on say otherwise. Stands in
// the binaries so that a test run by hand behaves as one run by ctest. The sanitizers call these
// functions by name; in other builds nobody does.

extern "C" {

__attribute__((visibility("default"), used)) const char* __asan_default_options() {
  return "detect_stack_use_after_return=1:strict_init_order=1:check_initialization_order=1:"
         "allocator_may_return_null=1";
}

__attribute__((visibility("default"), used)) const char* __ubsan_default_options() {
  return "print_stacktrace=1:halt_on_error=1";
}

__attribute__((visibility("default"), used)) const char* __tsan_default_options() {
  return "halt_on_error=1:second_deadlock_stack=1:history_size=4";
}

}  // extern "C"
