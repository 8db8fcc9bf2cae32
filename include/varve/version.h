// The version of varve, as numbers and as text. The build reads it from here.

#pragma once

#define VARVE_VERSION_MAJOR 0
#define VARVE_VERSION_MINOR 1
#define VARVE_VERSION_PATCH 0

#define VARVE_VERSION_STRING "0.1.0"

// One number that grows with the version: 1.2.3 is 10203.
#define VARVE_VERSION \
  (VARVE_VERSION_MAJOR * 10000 + VARVE_VERSION_MINOR * 100 + VARVE_VERSION_PATCH)
