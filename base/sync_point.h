// Named places where an interleaving, a crash or a kill matters. In builds with
// VARVE_SYNC_POINTS=1 a test installs a handler that is called with the name at each; otherwise
// they compile to nothing.

#pragma once

#if defined(VARVE_SYNC_POINTS)
namespace varve {
// Null removes it. Set while no engine thread runs. Called from any engine thread, possibly with
// locks held: it may block or kill the process, not call the engine.
using SyncPointHandler = void (*)(const char* name, void* context);
void set_sync_point_handler(SyncPointHandler handler, void* context);
void sync_point_reached(const char* name);
}  // namespace varve
#define VARVE_SYNC_POINT(name) ::varve::sync_point_reached(name)
#else
#define VARVE_SYNC_POINT(name) static_cast<void>(0)
#endif
