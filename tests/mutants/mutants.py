"""Faults that run.py plants into the engine, each to be caught by a test.

name: (file, original, mutated, killers)
  original  text that occurs once in the file; how it is broken into lines does not matter. With
            [[ and ]] in it, only what stands between them is replaced; the rest says where.
  mutated   what stands in its place when the mutant is on: statements for statements; expressions
            where the original does not end with ';'. With '+' in front it is added behind the
            original.
  killers   tests that are to fail, as BINARY:GTEST_FILTER; the first one that fails is enough. CI runs
            the first of them alone
"""

MUTANTS = {
    # -- memtables --
    "walks_begin_without_what_waits": (
        "lsm/memtable.cc",
        "memtable->link_waiting();",
        ";",
        ["lsm:MemtableTest*", "txn:DatabaseTest*"],
    ),
    "what_was_split_off_a_page_is_not_looked_for": (
        "lsm/key_tree.cc",
        "while ([[rank == count_of(order)]]) {",
        "false",
        ["lsm:KeyTreeTest*", "lsm:MemtableTest*"],
    ),
    "heads_leave_out_what_those_of_a_page_have_in_common": (
        "lsm/key_tree.cc",
        "common_prefix_size(least->key(), [[right->least->key()]]);",
        "page->key_node(slot_at(order, kSlots - 1))->key()",
        ["lsm:KeyTreeTest*"],
    ),
    "a_key_behind_a_page_is_sought_in_the_next_one": (
        "lsm/key_tree.cc",
        "if ([[!is_before(right->least, key, side)]]) return {",
        "false",
        ["lsm:KeyTreeTest*"],
    ),
    "a_page_for_sixteen_nodes_is_taken_to_be_enough": (
        "lsm/key_tree.cc",
        "[[to_come * levels + 2]];",
        "to_come / 16",
        ["lsm:KeyTreeTest*"],
    ),
    "what_an_opening_finds_is_only_synced": (
        "lsm/recovery.cc",
        "if ([[found.attested >= found.end && !header_only]]) return Status();",
        "true",
        ["sim:FoundFaults.*"],
    ),
    "a_segment_made_too_late_is_begun": (
        "lsm/wal_writer.cc",
        "if ([[segment.number < header.predecessor]]) remove_ready(&segment);",
        "false",
        ["lsm:ReadySegmentTest.*"],
    ),
    "no_segment_is_made_ahead": (
        "lsm/wal_writer.cc",
        "if ([[!wants_segment_.exchange(false)]]) return;",
        "true",
        ["lsm:ReadySegmentTest.*"],
    ),
    # -- memory --
    "no_memtable_is_made_ahead": (
        "lsm/store_keyspaces.cc",
        "const bool is_due = [[!next_was_wanted_]] &&",
        "false",
        ["txn:NextMemtableTest.*"],
    ),
    "a_dropped_keyspace_keeps_its_next_memtable": (
        "lsm/store_keyspaces.cc",
        "unref([[take_next_memtable(tree)]]);",
        "NextMemtable()",
        ["txn:NextMemtableTest.*"],
    ),
    "attempts_that_begin_again_say_why": (
        "txn/transaction_impl.cc",
        "Status conflict = [[check.begins_again]] ? Status(",
        "false",
        ["txn:AllocationTest.*"],
    ),
    # -- durability: what must be synced, and in which order --
    "sstable_is_not_synced": (
        "lsm/sstable_writer.cc",
        "VARVE_RETURN_IF_ERROR(out_.finish([[options_.durable]]));",
        "false",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "directory_is_not_synced_after_sstables": (
        "lsm/run_writer.cc",
        "options_.file_system->sync_directory(options_.directory)",
        "Status()",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "directory_is_not_synced_after_current": (
        "lsm/current_file.cc",
        "return file_system->sync_directory(directory);",
        "return Status();",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "manifest_is_not_synced": (
        "lsm/manifest.cc",
        "if (status.ok()) status = sync();",
        ";",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "flush_does_not_sync_the_log": (
        "lsm/background.cc",
        "[[VARVE_RETURN_IF_ERROR(sync_log());]] VARVE_SYNC_POINT(\"flush_log_synced\");",
        ";",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "commit_is_acknowledged_unsynced": (
        "txn/commit_pipeline.cc",
        "strongest == Durability::sync",
        "strongest == Durability::none",
        ["txn:DurabilityTest.*", "sim:*CrashEnumeration*", "model:*"],
    ),
    "recovered_log_is_not_made_durable": (
        "lsm/recovery.cc",
        "VARVE_RETURN_IF_ERROR(sync_recovered_log(found));",
        ";",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "new_log_segment_has_no_durable_name": (
        "lsm/wal_writer.cc",
        "status = options_.file_system->sync_directory(options_.directory);",
        ";",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "keyspace_is_created_before_the_log_is_synced": (
        "lsm/store_keyspaces.cc",
        "[[VARVE_RETURN_IF_ERROR(sync_log());]] MutexLock lock(manifest_mutex_); "
        "const Keyspace keyspace",
        ";",
        ["sim:*CrashEnumeration*", "model:*", "txn:KeyspaceTest.*"],
    ),
    # -- errors --
    "manifest_goes_on_after_a_failed_sync": (
        "lsm/manifest.cc",
        "failed_ = !status.ok();",
        "failed_ = false;",
        ["lsm:ManifestTest.*"],
    ),
    "failed_log_sync_is_forgotten": (
        "lsm/wal_writer.cc",
        "if (failure_.ok()) failure_ = status;",
        ";",
        ["lsm:WalWriterTest.*", "txn:DurabilityTest.*"],
    ),
    "read_error_looks_like_the_end": (
        "lsm/run_cursor.cc",
        "[[status_ = std::move(status);]] valid_ = false; return false;",
        ";",
        ["lsm:RunCursor*", "txn:*"],
    ),
    "log_damage_looks_like_a_torn_tail": (
        "lsm/wal_reader.cc",
        "if (!lost) return false;",
        "return false;",
        ["lsm:WalReaderTest.*"],
    ),
    "manifest_may_end_anywhere": (
        "lsm/manifest.cc",
        "records < mark.records || offset < mark.size",
        "false",
        ["lsm:ManifestTest.*", "sim:*BitSweep*"],
    ),
    "manifest_is_marked_before_it_is_synced": (
        "lsm/manifest.cc",
        "[[++records_;]] return Status();",
        "+static_cast<void>(write_mark());",
        ["sim:*CrashEnumeration*", "model:*"],
    ),
    "anybodys_log_segment_is_taken": (
        "lsm/wal_reader.cc",
        "database_ && header->database != *database_",
        "false",
        ["txn:BadFilesTest.*"],
    ),
    "block_checksum_is_not_looked_at": (
        "lsm/block_format.cc",
        "found != expected",
        "false",
        ["lsm:BlockFormat*", "lsm:Sstable*", "sim:*BitSweep*"],
    ),
    "failed_write_of_the_log_is_forgotten": (
        "txn/commit_pipeline.cc",
        "if (!heals_by_itself(status)) store_->fail(status);",
        ";",
        ["txn:DurabilityTest.failed_write_of_the_log*"],
    ),
    "failed_close_of_an_sstable_is_forgotten": (
        "lsm/file_appender.cc",
        "return [[file_->close()]];",
        "(static_cast<void>(file_->close()), Status())",
        ["lsm:SstableWriter.every_failing_call*", "txn:DurabilityTest.failed_sstable*"],
    ),
    "full_disk_does_not_heal": (
        "lsm/background.cc",
        "[[if (failed_.load() || status.code() == StatusCode::cancelled) return false;]] log_line",
        "fail(status.with_context(what)); return false;",
        ["txn:DurabilityTest.*full*", "txn:BackgroundFaultTest.*", "sim:FullDisk*"],
    ),
    "numbers_of_files_that_are_gone_are_given_again": (
        "lsm/run_writer.cc",
        "number_ = options_.numbers->next_file_number();",
        "static FileNumber last; "
        "if (last.value == 0 || options_.file_system->info(path_of(last)).ok()) "
        "last = options_.numbers->next_file_number(); "
        "number_ = last;",
        ["txn:DurabilityTest.numbers_of_files*"],
    ),
    "offsets_wrap_at_4_gib": (
        "lsm/sstable.cc",
        ".offset = [[handle.offset]], .stored_size = handle.stored_size",
        "handle.offset & UINT32_MAX",
        ["lsm:LargeOffsets.*"],
    ),
    "compressed_blocks_may_grow_without_bounds": (
        "lsm/block_format.cc",
        "trailer.raw_size > kBlockCompressedRawSizeMax",
        "false",
        ["lsm:BlockFormat.compressed*", "lsm:HostileSstable.*"],
    ),
    # -- versions --
    "snapshot_is_dated_before_it_is_registered": (
        "mvcc/snapshot_registry.h",
        "[[entry->timestamp = Timestamp{published_.load()};]] part.insert(entry);",
        "part.mutex.unlock(); entry->timestamp = Timestamp{published_.load()}; "
        "for (int i = 0; i < 100; ++i) spin_pause(); part.mutex.lock();",
        ["mvcc:SnapshotRegistryTest.no_snapshot_slips*"],
    ),
    "snapshots_of_other_threads_are_not_in_order": (
        "mvcc/snapshot_registry.h",
        "std::sort(snapshots->begin(), snapshots->end());",
        ";",
        ["mvcc:SnapshotRegistryTest.random_snapshots*"],
    ),
    "snapshots_do_not_hold_versions": (
        "lsm/background.cc",
        "write_run(&merge, [[horizon]], choice->bottom",
        "GcHorizon{.watermark = horizon.watermark, .snapshots = {}}",
        ["txn:SnapshotTest.*", "model:*"],
    ),
    "tombstone_is_dropped_above_older_runs": (
        "lsm/background.cc",
        "const LevelsRef levels(current);",
        "+choice->bottom = true;",
        ["txn:DatabaseTest.*", "model:*"],
    ),
    "tombstones_go_wherever_nobody_looks_back": (
        "mvcc/version_gc.h",
        "stripe_of_previous_ = stripe;",
        "+if (stripe == 0 && kind == VersionKind::tombstone) return {.keep = false};",
        ["txn:DatabaseTest.keys_erased_above_the_bottom*", "mvcc:VersionGc*"],
    ),
    "oldest_version_is_collapsed_too_early": (
        "mvcc/version_gc.h",
        "if (timestamp > watermark_) return {.keep = true};",
        "if (timestamp > watermark_ && !bottom_) return {.keep = true};",
        ["mvcc:*", "txn:SnapshotTest.*", "model:*"],
    ),
    "held_tombstone_is_lost": (
        "lsm/run_writer.cc",
        "if (held_) VARVE_RETURN_IF_ERROR(add(*held_, VersionKind::tombstone, {}));",
        ";",
        ["lsm:RunWriter*", "model:*"],
    ),
    "versions_of_a_key_lie_in_two_files": (
        "lsm/run_writer.cc",
        "writer_ != nullptr && [[!key_written_]] && writer_->size_estimate()",
        "true",
        ["lsm:RunWriter*"],
    ),
    "erased_keys_come_back_after_seeks": (
        "lsm/visible_cursor.cc",
        "if (!is_shown(source_->kind())) { if (!key_.assign(key)) return fail(Failure::out_of_memory); "
        "[[skip_current_key = true;]]",
        ";",
        ["lsm:VisibleCursor*", "txn:CursorTest.*"],
    ),
    "filter_forgets_a_key": (
        "lsm/filter.cc",
        "1 << (bit % 8)",
        "hash % 64 == 0 ? 0 : 1 << (bit % 8)",
        ["lsm:Filter*"],
    ),
    # -- log and recovery --
    "a_recovered_log_is_appended_to": (
        "lsm/wal_writer.cc",
        "written_.store(end.value); durable_.store(end.value); [[return open_segment();]]",
        """
        if (inherited.empty()) return open_segment();
        MutexLock lock(mutex_);
        Segment& last = segments_.back();
        VARVE_ASSIGN_OR_RETURN(
            last.out, options_.file_system->open(
                          path_in(options_.directory, wal_name(last.number)), OpenMode::read_write));
        char bytes[kWalHeaderSize];
        VARVE_ASSIGN_OR_RETURN(const size_t got, last.out->read(0, bytes, sizeof bytes));
        VARVE_ASSIGN_OR_RETURN(const WalSegmentHeader header,
                               decode_wal_segment_header({bytes, got}));
        last.file = current_file_ = header.file;
        current_start_ = last.start;
        last.end = kLsnMax;
        return Status();
        """,
        ["txn:RecoveryTest.what_lies_behind_the_end_of_the_log*", "lsm:WalWriterTest.*"],
    ),
    "hole_in_the_log_is_stepped_over": (
        "lsm/wal_reader.cc",
        "segments_[i].header.start == position_ && "
        "segments_[i].header.predecessor == segments_[current_].number",
        "segments_[i].header.start >= position_ && "
        "((position_ = segments_[i].header.start), true)",
        ["lsm:WalReaderTest.*"],
    ),
    "torn_tail_looks_like_damage": (
        "lsm/wal_reader.cc",
        "VARVE_ASSIGN_OR_RETURN(const bool lost, attested());",
        "+if (!lost) return Status::corruption(\"torn\");",
        ["lsm:WalReaderTest.zeros_and_noise*", "lsm:WalReaderTest.torn_last_group"],
    ),
    "timestamps_start_below_the_lease": (
        "lsm/recovery.cc",
        "std::max({found.newest, found.state.last_timestamp, found.state.lease})",
        "std::max({found.newest, found.state.last_timestamp})",
        ["txn:RecoveryTest.*", "model:*"],
    ),
    "replay_skips_one_group_too_many": (
        "lsm/recovery.cc",
        "group.start < flushed",
        "group.start <= flushed",
        ["txn:RecoveryTest.*", "sim:*CrashEnumeration*", "model:*"],
    ),
    "log_goes_while_another_keyspace_needs_it": (
        "lsm/store_change.cc",
        "if (!leaves) start = std::min(start, memtable->first_lsn());",
        "if (!leaves && other.get() == tree) start = std::min(start, memtable->first_lsn());",
        ["txn:RecoveryTest.*", "sim:*CrashEnumeration*", "model:*"],
    ),
    "watermark_is_forgotten_by_compactions": (
        "lsm/background.cc",
        "[[change.edit.watermarks.push_back({.keyspace = tree->keyspace, .watermark = horizon.watermark});]] "
        "if (Status status = install",
        ";",
        ["model:*", "txn:*"],
    ),
    "recycled_segment_keeps_its_file_id": (
        "lsm/wal_writer.cc",
        "random_file_id()",
        "FileId{7, 7}",
        ["lsm:Wal*", "model:*", "sim:*CrashEnumeration*"],
    ),
    "keys_read_together_are_sought_in_the_first_runs_only": (
        "lsm/read_view.cc",
        "open[still_open++] = open[i];",
        "static_cast<void>(still_open);",
        ["txn:DatabaseTest.multi_get*"],
    ),
    # -- steps that do not look at each version --
    "plain_blocks_are_shown_to_snapshots_that_do_not_see_them": (
        "lsm/run_cursor.cc",
        "return [[plain_ && is_visible(newest_, snapshot)]];",
        "plain_",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "blocks_with_several_versions_of_a_key_are_plain": (
        "lsm/run_cursor.cc",
        "plain_ = [[(handle.flags & (kBlockLiveSingleVersion | kBlockHasPointers)) == "
        "kBlockLiveSingleVersion]];",
        "true",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "what_was_said_ahead_is_said_again": (
        "lsm/read_ahead.h",
        "|| [[offset + size + window_ / 2 < end_]]) return;",
        "false",
        ["lsm:ReadAhead*"],
    ),
    "two_blocks_in_order_are_a_walk": (
        "lsm/read_ahead.h",
        "++blocks_ == [[kBlocksOfWalk]])",
        "2",
        ["lsm:ReadAhead*"],
    ),
    "plain_steps_pass_the_upper_bound": (
        "lsm/run_cursor.cc",
        "[[upper.empty() ? view_->row_count() : view_->lower_bound({upper, kTimestampMax})]];",
        "view_->row_count()",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "walks_back_pass_the_lower_bound": (
        "lsm/run_cursor.cc",
        "} else if ([[!lower.empty()]]) {",
        "false",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "walks_back_pass_what_other_sources_have": (
        "lsm/merge_cursor.cc",
        "if ([[compare_keys(next->user_key(), lower) >= 0]]) {",
        "false",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "walks_back_show_a_key_that_another_source_has_too": (
        "lsm/merge_cursor.cc",
        "above = [[true]];",
        "false",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "equal_heads_are_taken_for_different_keys": (
        "lsm/merge_cursor.cc",
        "was_tied |= [[other == rank]];",
        "false",
        ["lsm:MixedRuns*", "model:*"],
    ),
    "older_equal_heads_are_taken_for_different_keys": (
        "lsm/merge_cursor.cc",
        "!([[had_ties && is_tied(last.winner, last.rank)]]);",
        "false",
        ["lsm:MixedRuns*", "model:*"],
    ),
    "steps_played_ahead_pass_a_bound": (
        "lsm/merge_cursor.cc",
        "[[last.rank < rank_limit]]",
        "true",
        ["lsm:MixedRuns*", "model:*"],
    ),
    "steps_played_ahead_outlive_a_turn": (
        "lsm/merge_cursor.cc",
        "const VersionKey here = version_key(); [[forget_steps();]]",
        ";",
        ["lsm:MixedRuns*", "model:*"],
    ),
    "a_child_that_moved_is_taken_for_where_it_was": (
        "lsm/merge_cursor.cc",
        "if (!has_steps()) { [[rows_[winner_].is_known = false;]]",
        ";",
        ["lsm:MixedRuns*", "model:*"],
    ),
    "the_last_match_of_a_merge_is_not_played_again": (
        "lsm/merge_cursor.cc",
        "bool loses = [[other < rank]];",
        "match != 1 && other < rank",
        ["lsm:MergeCursor*"],
    ),
    "plain_steps_pass_what_other_sources_have": (
        "lsm/merge_cursor.cc",
        "compare_keys(next->user_key(), upper) < 0) [[upper = next->user_key()]];",
        "upper = upper",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "a_walk_goes_on_from_the_key_before_its_plain_steps": (
        "lsm/visible_cursor.h",
        "if ([[!key_.assign(shown_->key)]]) return false;",
        "false",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "other_versions_of_a_key_are_walked_over": (
        "lsm/merge_cursor.cc",
        "is_there(loser) && [[children_[loser]->user_key() == user_key()]]",
        "false",
        ["lsm:VisibleCursor*", "model:*"],
    ),
    "keys_to_seek_are_looked_at_while_what_is_shown_goes_away": (
        "txn/cursor_impl.h",
        "move(walk, [[sought_.view()]]);",
        "key",
        ["txn:CursorTest.keys_to_seek*"],
    ),
    "point_reads_stop_at_the_first_key_with_their_tag": (
        "lsm/block_reader.cc",
        "for (uint32_t found = match_tags(tags_ + start, tag); found != 0; [[found &= found - 1]]) {",
        "found = 0",
        ["lsm:BlockView*"],
    ),
    "entries_fetched_together_have_the_key_of_the_first": (
        "table/row_scanner.h",
        "return fetched_keys_.view().substr([[fetched.key_offset + fetched.entry_key_size]],",
        "fetched.entry_key_size",
        ["table:RowScanner*", "table:TableModel*"],
    ),
    "keys_read_together_that_need_files_are_absent": (
        "txn/version_reader.h",
        "if (!std::exchange(read.missed, false)) continue;",
        "continue;",
        ["txn:*"],
    ),
    "window_wipes_the_page_in_which_it_begins": (
        "lsm/posix_append_window.cc",
        "write_zeros(descriptor_, from, to)",
        "write_zeros(descriptor_, page, to)",
        ["lsm:AppendWindowTest.*"],
    ),
    "zeros_ahead_wipe_the_page_before_them": (
        "lsm/posix_blocks_ahead.cc",
        "write_zeros(descriptor_, append_end, to)",
        "write_zeros(descriptor_, offset / 4096 * 4096, to)",
        ["lsm:BlocksAheadTest.*"],
    ),
    "space_that_is_given_back_holds_the_last_commit": (
        "lsm/wal_writer.cc",
        "const uint64_t size = [[kWalHeaderSize + written_.load() - current.start.value]];",
        "kWalHeaderSize + written_.load() - current.start.value - 8",
        ["lsm:WalWriterTest.space_that_is_given_back*"],
    ),
    "transact_tells_before_it_is_durable": (
        "txn/database_impl.cc",
        "if (time <= store_->oracle().published()) return Status();",
        "return Status();",
        ["txn:GroupCommitTest.transact*"],
    ),
    "leaders_publish_ahead_of_a_sync": (
        "txn/commit_pipeline.cc",
        "group_syncs_ || unfinished_groups_.load() != 0 || !failed_.ok()",
        "group_syncs_",
        ["txn:GroupCommitTest.nothing_behind*"],
    ),
    "who_lost_begins_again_from_what_is_published": (
        "txn/transaction_impl.cc",
        "begin(options, /*at_applied=*/true);",
        "begin(options, /*at_applied=*/false);",
        ["txn:GroupCommitTest.transact_begins_again*"],
    ),
    "window_outlives_what_is_cut_off": (
        "lsm/posix_file_system.cc",
        "if (appends_ != nullptr) appends_->close();",
        ";",
        ["lsm:AppendWindowTest.*"],
    ),
    "entries_of_unlogged_keyspaces_take_others_along": (
        "txn/commit_pipeline.cc",
        "store_->tree(entry.keyspace)->logged",
        "store_->tree(entry.keyspace)->logged && logged_part_.size() == 0",
        ["model:*unlogged*", "txn:DurabilityTest.*", "txn:KeyspaceTest.*"],
    ),
    # -- memory --
    "deadlines_begin_anew_with_each_wait": (
        "lsm/admission.cc",
        "if ([[first_]]) waited->since = began_;",
        "true",
        ["txn:BudgetTest.a_deadline_ends_a_wait*"],
    ),
    "budget_is_not_looked_at": (
        "memory/budget.h",
        "if (bytes > limit || reserved > limit - bytes) return false;",
        ";",
        ["txn:BudgetTest.data_of_many*"],
    ),
    "flushes_have_no_memory_of_their_own": (
        "memory/slab_allocator.h",
        "budget_->reserve(bytes, urgency)",
        "budget_->reserve(bytes, Urgency::normal)",
        ["memory:MemoryManager.FlushesFind*"],
    ),
    # -- transactions: what a commit is checked against --
    "changes_since_the_start_are_not_looked_up": (
        "txn/commit_check.cc",
        "newer = found.version.timestamp > check->since();",
        "newer = false;",
        ["txn:ConflictTest.*", "txn:TransactionTest.*"],
    ),
    "commits_since_the_look_up_are_not_checked": (
        "txn/commit_pipeline.cc",
        "checker_.check_recent(request->batch, check);",
        ";",
        ["txn:TransactionThreadsTest.*"],
    ),
    "members_of_a_group_do_not_see_each_other": (
        "txn/commit_pipeline.cc",
        "conflicts_->record({.hash = conflict_hash(entry.keyspace, key_hash(entry.key)), "
        ".keyspace = entry.keyspace, .key = entry.key, .timestamp = request->timestamp});",
        ";",
        ["txn:TransactionThreadsTest.*"],
    ),
    "reads_are_not_validated": (
        "txn/transaction_impl.cc",
        "CommitCheck check{ .start = start(), .reads = [[reads_.empty() ? nullptr : &reads_]], "
        ".begins_again = begins_again};",
        "nullptr",
        ["txn:*IsolationTest.*"],
    ),
    "ranges_are_forgotten": (
        "txn/transaction_cursor.cc",
        "if (!target_.reads->add(range)) *target_.ranges_lost = true;",
        ";",
        ["txn:*IsolationTest.*"],
    ),
    "ranges_end_before_the_last_key": (
        "txn/transaction_cursor.cc",
        "range.upper = here_.view();",
        "range.upper = *last;",
        ["txn:*IsolationTest.*"],
    ),
    "without_a_table_members_of_a_group_do_not_see_each_other": (
        "txn/commit_pipeline.cc",
        "conflicts_->raise_floor(request->timestamp);",
        ";",
        ["txn:ConflictTest.*"],
    ),
    "trimmed_commits_pass_for_checked": (
        "txn/conflict_table.h",
        "position >= begin_ && floor_.load(kRelaxed) <= through.nanos",
        "floor_.load(kRelaxed) <= through.nanos",
        ["txn:ConflictTableTest.*"],
    ),
    "slots_say_one_less": (
        "txn/conflict_table.cc",
        "[[what.timestamp.nanos]], kRelaxed);",
        "what.timestamp.nanos - 1",
        ["txn:ConflictTableTest.*", "txn:TransactionTest.*"],
    ),
    "refused_groups_stay_recorded": (
        "txn/commit_pipeline.cc",
        "conflicts_->rewind(recorded_from);",
        ";",
        ["txn:ConflictTest.*"],
    ),
    "dropped_keyspaces_are_no_conflict": (
        "txn/commit_pipeline.cc",
        "request->action->changes_data()",
        "false",
        ["txn:TransactionTest.*"],
    ),
    "tombstones_that_tell_of_a_change_are_dropped": (
        "mvcc/version_gc.h",
        "kind == VersionKind::tombstone && timestamp <= oldest_checked_",
        "kind == VersionKind::tombstone",
        ["txn:ConflictTest.*"],
    ),
    "reads_for_update_are_plain_reads": (
        "txn/transaction_impl.cc",
        "!for_update && options_.isolation != Isolation::serializable",
        "options_.isolation != Isolation::serializable",
        ["txn:TransactionTest.*"],
    ),
    "own_writes_are_not_read": (
        "txn/transaction_impl.cc",
        "if (is_own) return own(entry);",
        ";",
        ["txn:TransactionTest.*"],
    ),
    "savepoints_do_not_bring_back_what_was_overwritten": (
        "txn/write_set.cc",
        "if (fold.what < place) batch_.set_dead(batch_.data_ + fold.what, false);",
        ";",
        ["txn:TransactionTest.*", "txn:TransactionCursorTest.*"],
    ),
    "cursors_of_transactions_show_what_was_erased": (
        "txn/transaction_cursor.cc",
        "if (both) step_base();",
        ";",
        ["txn:TransactionCursorTest.*"],
    ),
    # -- pools and the account of rows --
    "validation_of_object_pools_counts_nothing": (
        "memory/object_pool.h",
        "++waiting;",
        ";",
        ["memory:ObjectPool.*"],
    ),
    "object_pools_count_a_refused_request_as_in_use": (
        "memory/object_pool.h",
        "[[count_released(own);]] return nullptr;",
        ";",
        ["memory:ObjectPool.*"],
    ),
    "objects_go_to_whichever_thread_asks_first": (
        "memory/object_pool.h",
        "size_t own_shelf() const { return [[this_thread_slot() % shelf_count_]]; }",
        "0",
        ["memory:ObjectPool.ThreadsGetBack*"],
    ),
    "frames_that_are_handed_over_stay_in_their_old_slot": (
        "lsm/block_cache.cc",
        "frame->slot = to;",
        ";",
        ["lsm:WrittenBlocksTest.*"],
    ),
    "tags_are_said_to_be_there_before_they_are": (
        "lsm/frame_ring.cc",
        "view.fill_tags();",
        ";",
        ["lsm:FramesTogetherTest.tags*"],
    ),
    "what_hangs_in_a_file_keeps_the_parent_of_another_read": (
        "lsm/sstable.cc",
        "wanted->parent = nullptr;",
        ";",
        ["lsm:FramesTogetherTest.filters*"],
    ),
    "what_is_asked_for_twice_is_loaded_twice": (
        "lsm/block_cache.cc",
        "if ([[loads_[i]->wanted->slot == wanted->slot]]) return;",
        "false",
        ["lsm:FramesTogetherTest.all_are_loaded*"],
    ),
    "short_reads_are_taken_to_be_whole": (
        "lsm/posix_read_ring.cc",
        "if (completion.res < 0 || [[static_cast<size_t>(completion.res) != request.size]]) continue;",
        "false",
        ["lsm:ReadTogetherTest.at_the_end*", "lsm:ReadRingsTest.*"],
    ),
    "what_was_read_together_is_not_looked_for_again": (
        "txn/version_reader.h",
        "VARVE_RETURN_IF_ERROR([[view->get({read, 1}, timestamp, &store_->epochs(), again)]]);",
        "Status()",
        ["txn:ColdMultiGetTest.answers*"],
    ),
    "blocks_that_were_kept_are_taken_by_their_number": (
        "lsm/sstable.cc",
        "if ([[handle->offset != next->offset]]) continue;",
        "false",
        ["lsm:WrittenBlocksTest.*"],
    ),
    "commits_that_are_not_counted_are_not_waited_for": (
        "lsm/admission.cc",
        "while ([[commits_are_under_way()]] || waiters_ != nullptr) {",
        "admitted_bytes_.load() != 0",
        ["txn:DatabaseCloseTest.writes_end_when*"],
    ),
    "nobody_is_looked_for_once_commits_are_recorded": (
        "txn/conflict_table.cc",
        "if ([[!any_open()]]) return false;",
        "true",
        ["txn:ConflictTableTest.records_while*"],
    ),
    "writers_that_wait_keep_large_buffers": (
        "table/row_writer.cc",
        "each->keep_at_most(kKept);",
        ";",
        ["table:RowMemoryTest.*"],
    ),
    "pools_of_tables_do_not_yield_to_others": (
        "txn/database_impl.cc",
        "[[upper_pools_.trim();]] return open_cursors_",
        ";",
        ["table:TableBudgetTest.pools_*"],
    ),
    "retries_are_not_counted": (
        "txn/database.cc",
        "impl_->counters_.count(TransactionCounters::retried);",
        ";",
        ["txn:TransactionStatisticsTest.*"],
    ),
    # -- transactions that spill --
    "keys_that_were_spilled_are_not_checked": (
        "txn/commit_check.cc",
        "VARVE_RETURN_IF_ERROR(look_up_spilled(check));",
        ";",
        ["txn:SpillTest.*"],
    ),
    "commits_since_the_look_up_are_not_looked_for_in_what_was_spilled": (
        "txn/database_impl.cc",
        "checker->check_recent_spilled(check)",
        "Status()",
        ["txn:SpillTest.*"],
    ),
    "reads_beside_spilled_writes_are_not_validated": (
        "txn/transaction_impl.cc",
        "[[reads_.empty() ? nullptr : &reads_]], .spilled = writes_",
        "nullptr",
        ["txn:SpillTest.*"],
    ),
    "spilled_commits_are_shown_before_their_edit_is_durable": (
        "lsm/spill.cc",
        "VARVE_SYNC_POINT(\"spilled_before_edit\");",
        "+std::vector<ReadView*> early; { MutexLock lock(mutex_); "
        "for (size_t i = 0; i < runs.size(); ++i) { Tree* tree = this->tree(runs[i].keyspace); "
        "tree->active->ref(); changed[i]->ref(); "
        "early.push_back(publish_view(tree, ReadView::create({tree->active}, changed[i]))); } } "
        "for (ReadView* view : early) view->retire(&epochs_); oracle_->publish(timestamp);",
        ["txn:SpillCrash.*"],
    ),
    "spilled_commits_leave_the_log_unsynced": (
        "lsm/spill.cc",
        "[[VARVE_RETURN_IF_ERROR(sync_log()); "
        "VARVE_ASSERT(wal_->durable() == wal_->end());]] // nobody else commits",
        ";",
        ["txn:SpillCrash.*"],
    ),
    "files_of_lost_transactions_stay": (
        "lsm/spill.cc",
        "file->mark_obsolete(this);",
        ";",
        ["txn:SpillTest.*"],
    ),
    "what_was_undone_comes_back_from_files": (
        "txn/spilled_writes.cc",
        "writes_->is_undone(source_->timestamp())",
        "false",
        ["txn:SpillTest.*"],
    ),
    "savepoints_do_not_hold_what_is_spilled": (
        "txn/write_set.cc",
        "if (each < place()) readers.push_back(SpilledWrites::as_of(each));",
        ";",
        ["txn:SpillTest.*"],
    ),
    "undated_files_are_seen_by_older_snapshots": (
        "lsm/sstable.cc",
        "[[info_.timestamp_max > snapshot]]) return {};",
        "false",
        ["txn:SpillTest.*"],
    ),
    # -- tables: what must change in one commit, and in which order --
    "indexes_are_ready_before_they_are_built": (
        "table/tables.cc",
        "Status status = [[build_index(tables.database, tables.catalog, &tables.buffers, state_->tenant, state_->id, id)]];",
        "(static_cast<void>(tables.change_table(state_->tenant, state_->id, "
        "[&](Transaction*, TableSchema* schema) { return publish_index(schema, id); })), "
        "build_index(tables.database, tables.catalog, &tables.buffers, state_->tenant, state_->id, id))",
        ["table:TableCrash.*"],
    ),
    "leftovers_of_an_index_are_recorded_in_a_commit_of_their_own": (
        "table/tables.cc",
        "return tables.catalog.add_leftover(transaction, "
        "{.tenant = table.tenant, .table = table.id, .index = id});",
        "return tables.database->transact([&](Transaction& own) { "
        "return tables.catalog.add_leftover(&own, "
        "{.tenant = table.tenant, .table = table.id, .index = id}); }).status();",
        ["table:TableCrash.*"],
    ),
    "leftovers_are_forgotten_before_they_are_erased": (
        "table/tables.cc",
        "VARVE_RETURN_IF_ERROR(erase_leftover(database, catalog, &buffers, leftover));",
        "VARVE_RETURN_IF_ERROR(database->transact([&](Transaction& early) { "
        "return catalog.remove_leftover(&early, leftover); }).status()); "
        "VARVE_RETURN_IF_ERROR(erase_leftover(database, catalog, &buffers, leftover));",
        ["table:TableCrash.*"],
    ),
    "rows_take_the_entry_of_another_row_along": (
        "table/row_writer.cc",
        "VARVE_RETURN_IF_ERROR(look_for_old_entry(indexes[i], &entries_[i]));",
        ";",
        ["table:RowWriterBesideABuild.*"],
    ),
    # -- what scans found, kept --
    "commits_do_not_mark_what_is_watched": (
        "txn/commit_pipeline.cc",
        "for (const Request* request : group_) watch_->mark(request->batch, request->timestamp);",
        ";",
        ["txn:ChangeWatchCommits.*", "table:ScanCache*"],
    ),
    "what_is_watched_is_marked_after_publishing": (
        "txn/commit_pipeline.cc",
        "if (watch_->watches_any()) mark_group();",
        "store_->oracle().publish(group_.back()->timestamp); "
        "if (watch_->watches_any()) mark_group();",
        ["txn:ChangeWatchCommits.*"],
    ),
    "commits_under_way_do_not_count_where_a_range_is_added": (
        "txn/change_watch.cc",
        "range->steady_from_.store([[oracle_->last_allocated().nanos]]);",
        "oracle_->published().nanos",
        ["txn:ChangeWatch*"],
    ),
    "spilled_commits_do_not_mark_what_is_watched": (
        "txn/database_impl.cc",
        "watch->mark_all(run.keyspace, timestamp);",
        ";",
        ["table:ScanCacheTest.a_commit_that_had_spilled*"],
    ),
    "dropped_keyspaces_do_not_mark_what_is_watched": (
        "txn/database.cc",
        "watch->mark_all(keyspace, timestamp);",
        ";",
        ["table:ScanCacheTest.a_dropped_keyspace*"],
    ),
    "results_are_shown_to_snapshots_from_before_a_change": (
        "table/scan_cache.cc",
        "if ([[question.at < steady_from]]) return nullptr;",
        "false",
        ["table:ScanCacheTest.snapshots_from_before*", "table:ScanCacheModelTest.*"],
    ),
    "results_outlive_changes": (
        "table/scan_cache.cc",
        "if ([[entry->result->read_at_ < steady_from]]) {",
        "false",
        ["table:ScanCacheTest.commits_within*"],
    ),
    "own_writes_are_not_shown_by_cached_scans": (
        "txn/transaction_impl.h",
        "open_ && [[writes_.empty() && writes_.place() == 0]]",
        "true",
        ["table:ScanCacheTransactionTest.own_writes*"],
    ),
    "reads_of_serializable_transactions_go_unnoted": (
        "txn/transaction_impl.h",
        "(options_.read_only || [[options_.isolation != Isolation::serializable]])",
        "true",
        ["table:ScanCacheTransactionTest.only_those*"],
    ),
    "rows_that_an_index_leads_to_are_not_watched": (
        "table/cached_scan.cc",
        "const std::string_view lower = [[fetches_rows_ ? std::string_view(row_prefix_) : "
        "std::string_view(ranges.front().lower)]];",
        "std::string_view(ranges.front().lower)",
        ["table:ScanCacheTest.commits_within*"],
    ),
    "what_a_cursor_reads_is_given_back_with_its_entry": (
        "table/scan_cache.cc",
        "if ([[result->readers_ == 0]]) free(result);",
        "true",
        ["table:ScanCacheMemory.what_is_held*"],
    ),
    # -- files of values --
    "a_file_of_values_goes_with_its_last_user": (
        "lsm/value_file.cc",
        "const bool is_obsolete = [[!file->needed_]] && holder",
        "true",
        ["lsm:ValueFileTest.it_goes*", "txn:LargeValuesTest.*"],
    ),
    "no_file_of_values_ever_goes": (
        "lsm/sstable.cc",
        "values_->release(file, [[holder]]);",
        "ValueFiles::Holder::in_force",
        ["txn:LargeValuesTest.what_is_overwritten*"],
    ),
    "files_of_values_left_behind_stay": (
        "lsm/recovery.cc",
        "return [[value_files_.is_open(name.number)]];",
        "true",
        ["txn:LargeValuesTest.files_of_sstables*"],
    ),
    "files_of_values_left_behind_fill_the_disk": (
        "lsm/recovery.cc",
        "parsed.type == FileType::values && [[!named.contains(parsed.number.value)]]",
        "false",
        ["txn:LargeValuesTest.what_is_left_behind*"],
    ),
    "files_of_values_go_before_the_sstables_that_name_them": (
        "lsm/recovery.cc",
        "for (const ValueUse& use : (*sstable)->properties().values) "
        "[[named.insert(use.file.number.value);]]",
        "static_cast<void>(use);",
        ["txn:LargeValuesTest.files_of_sstables*"],
    ),
    "files_of_values_are_not_synced": (
        "lsm/value_writer.cc",
        "return out_.finish([[options_.durable]]);",
        "false",
        ["txn:LargeValuesTest.they_are_durable*", "sim:*CrashEnumeration*"],
    ),
    "emptied_files_are_pointed_to": (
        "lsm/run_writer.cc",
        "if ([[!std::binary_search(options_.emptied.begin(), options_.emptied.end(), file.number)]]) {",
        "true",
        ["lsm:RunWriterTest.values_stay*", "txn:LargeValuesTest.a_file_of_which*"],
    ),
    "a_pointer_is_shown_by_walks_back": (
        "lsm/visible_cursor.cc",
        "const bool unread = is_seen && is_shown(source_->kind()) && [[!load_value()]];",
        "false",
        ["txn:LargeValuesTest.*"],
    ),
    # -- blocks as they are stored --
    "a_block_is_kept_twice": (
        "lsm/block_cache.cc",
        "Frame* const stored = slot->load(kRelaxed); [[stored != nullptr]]",
        "false",
        ["lsm:StoredBlocksTest.*"],
    ),
    "blocks_as_they_are_stored_hang_in_what_is_gone": (
        "lsm/block_cache.cc",
        "if (is_there() || [[home.is_gone()]]) return true;",
        "false",
        ["lsm:StoredBlocksTest.nothing_hangs*"],
    ),
    "blocks_stay_compressed_however_often_they_are_read": (
        "lsm/block_cache.cc",
        "if (!fill || [[!stored.is_hot]]) return frame;",
        "true",
        ["lsm:StoredBlocksTest.one_that_is_asked_for_again*"],
    ),
    "what_is_compressed_in_memory_is_read_from_the_file": (
        "lsm/block_cache.cc",
        "const StoredBlock stored = [[find_stored(home, source)]]; stored.frame",
        "StoredBlock()",
        ["lsm:StoredBlocksTest.*"],
    ),
    "keys_asked_for_together_lose_what_was_decompressed": (
        "lsm/sstable.cc",
        "if ([[held.slot == slot]]) return held.frame;",
        "false",
        ["txn:ColdMultiGetTest.blocks_that_are_kept*"],
    ),
}
