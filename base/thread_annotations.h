// Names for clang's thread-safety attributes (-Wthread-safety); nothing for other compilers.

#pragma once

#if defined(__clang__)
#define VARVE_ATTRIBUTE(x) __attribute__((x))
#else
#define VARVE_ATTRIBUTE(x)
#endif

#define VARVE_CAPABILITY(x) VARVE_ATTRIBUTE(capability(x))
#define VARVE_SCOPED_CAPABILITY VARVE_ATTRIBUTE(scoped_lockable)
#define VARVE_GUARDED_BY(x) VARVE_ATTRIBUTE(guarded_by(x))
#define VARVE_PT_GUARDED_BY(x) VARVE_ATTRIBUTE(pt_guarded_by(x))
#define VARVE_ACQUIRE(...) VARVE_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define VARVE_RELEASE(...) VARVE_ATTRIBUTE(release_capability(__VA_ARGS__))
#define VARVE_TRY_ACQUIRE(...) VARVE_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define VARVE_REQUIRES(...) VARVE_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define VARVE_EXCLUDES(...) VARVE_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define VARVE_NO_THREAD_SAFETY_ANALYSIS VARVE_ATTRIBUTE(no_thread_safety_analysis)
