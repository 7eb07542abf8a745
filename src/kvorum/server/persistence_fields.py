"""The fields of INFO persistence, by Redis' names and in its order.

What Redis says about its forks is said about what takes their place: a file is written by the loop and a thread, and what the
kernel would have copied are the bytes that wait in memory for the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.server.saving import BASE

if TYPE_CHECKING:
    from kvorum.server.persistence import Persistence

Fields = dict[str, object]


def persistence_fields(persistence: Persistence) -> Fields:
    """All of them. Times are Unix seconds, durations seconds; -1: there is none."""
    context = persistence.context
    fields = {"loading": int(context.loading), "async_loading": 0}
    return (
        fields
        | _now(persistence)
        | _snapshots(persistence)
        | _log(persistence)
        | _modules()
        | _sizes(persistence)
        | (_loading(persistence) if context.loading else {})
    )


def _now(persistence: Persistence) -> Fields:
    writing = persistence.saving.writing
    return {
        "current_cow_peak": writing.aside_bytes if writing is not None else 0,
        "current_cow_size": writing.pending_bytes if writing is not None else 0,
        "current_cow_size_age": 0,
        "current_fork_perc": f"{writing.percent:.2f}" if writing is not None else "0.00",
        "current_save_keys_processed": writing.keys_written if writing is not None else 0,
        "current_save_keys_total": writing.keys_total if writing is not None else 0,
    }


def _snapshots(persistence: Persistence) -> Fields:
    saving = persistence.saving
    history = saving.snapshots
    return {
        "rdb_changes_since_last_save": saving.changes,
        "rdb_bgsave_in_progress": int(saving.saving),
        "rdb_last_save_time": history.last_time_s,
        "rdb_last_bgsave_status": _status(history.last_ok),
        "rdb_last_bgsave_time_sec": history.last_duration_s,
        "rdb_current_bgsave_time_sec": _running_s(persistence) if saving.saving else -1,
        "rdb_saves": history.count,
        "rdb_last_cow_size": history.aside_bytes,
        "rdb_last_load_keys_expired": persistence.expired_keys,
        "rdb_last_load_keys_loaded": persistence.loaded_keys,
    }


def _log(persistence: Persistence) -> Fields:
    saving, journal = persistence.saving, persistence.journal
    history = saving.compactions
    safe = journal is None or (journal.failed is None and journal.broken is None)
    return {
        "aof_enabled": int(journal is not None),
        "aof_rewrite_in_progress": int(saving.compacting),
        "aof_rewrite_scheduled": int(BASE in saving.wanted),
        "aof_last_rewrite_time_sec": history.last_duration_s,
        "aof_current_rewrite_time_sec": _running_s(persistence) if saving.compacting else -1,
        "aof_last_bgrewrite_status": _status(history.last_ok),
        "aof_rewrites": history.count,
        "aof_rewrites_consecutive_failures": history.failures,
        "aof_last_write_status": _status(safe),
        "aof_last_cow_size": history.aside_bytes,
    }


def _modules() -> Fields:
    return {"module_fork_in_progress": 0, "module_fork_last_cow_size": 0}


def _sizes(persistence: Persistence) -> Fields:
    saving, journal = persistence.saving, persistence.journal
    if journal is None:
        return {}
    return {
        "aof_current_size": saving.log_bytes,
        "aof_base_size": saving.rewritten_bytes,
        "aof_pending_rewrite": int(BASE in saving.wanted),
        "aof_buffer_length": 0,
        "aof_pending_bio_fsync": int(journal.flusher.busy),
        "aof_delayed_fsync": 0,  # a write never waits for an fsync
    }


def _loading(persistence: Persistence) -> Fields:
    began_s = persistence.loading_started_ms // 1000
    total, done = persistence.loading_total_bytes, persistence.loading_done_bytes
    elapsed_s = persistence.context.clock.wall_ms() // 1000 - began_s
    return {
        "loading_start_time": began_s,
        "loading_total_bytes": total,
        "loading_rdb_used_mem": 0,
        "loading_loaded_bytes": done,
        "loading_loaded_perc": f"{100 * done / max(total, 1):.2f}",
        "loading_eta_seconds": elapsed_s * max(total - done, 1) // (done + 1) if elapsed_s else 1,
    }


def _running_s(persistence: Persistence) -> int:
    """How long the present file has been on its way."""
    writing = persistence.saving.writing
    if writing is None:
        return 0
    return (persistence.context.clock.wall_ms() - writing.began_ms) // 1000


def _status(fine: bool) -> str:
    return "ok" if fine else "err"
