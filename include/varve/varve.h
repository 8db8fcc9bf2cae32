// All of varve's public interface.

#pragma once

#include "varve/cancellation.h"
#include "varve/clock.h"
#include "varve/cursor.h"
#include "varve/database.h"
#include "varve/executor.h"
#include "varve/file_system.h"
#include "varve/history.h"
#include "varve/logger.h"
#include "varve/key_codec.h"
#include "varve/memory_budget.h"
#include "varve/options.h"
#include "varve/pinned_value.h"
#include "varve/snapshot.h"
#include "varve/statistics.h"
#include "varve/status.h"
#include "varve/transaction.h"
#include "varve/types.h"
#include "varve/version.h"
#include "varve/write_batch.h"
#include "varve/write_batcher.h"
