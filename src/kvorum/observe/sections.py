"""The sections of INFO that describe the server: one function each, from the server to its fields in Redis' order.

A field about something that does not exist here says what a Redis without that thing would say.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from typing import TYPE_CHECKING

from kvorum.observe import process
from kvorum.observe.memory import client_memory, memory_report
from kvorum.version import KVORUM_VERSION, REDIS_VERSION

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext

Fields = dict[str, object]

SECONDS_PER_DAY = 24 * 3600
LRU_CLOCK_MASK = (1 << 24) - 1
UNITS = ((1 << 50, "P"), (1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def human(count: int) -> str:
    """A number of bytes for people: ``919.21K``."""
    for unit, letter in UNITS:
        if count >= unit:
            return f"{count / unit:.2f}{letter}"
    return f"{count}B"


def server(server: ServerContext) -> Fields:
    """Who this is."""
    config, now_ms = server.config, server.keyspace.now_ms
    uptime_s = max(now_ms - server.started_ms, 0) // 1000
    return {
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": 0,
        "redis_mode": "standalone",
        "kvorum_version": KVORUM_VERSION,
        "os": process.system_name(),
        "arch_bits": 64 if sys.maxsize > 1 << 32 else 32,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "epoll",
        "atomicvar_api": "none",
        "gcc_version": _compiler_version(),
        "python_version": platform.python_version(),
        "process_id": os.getpid(),
        "process_supervised": server.supervised_by,
        "run_id": server.run_id,
        "tcp_port": config.port,
        "server_time_usec": now_ms * 1000,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // SECONDS_PER_DAY,
        "hz": config.hz,
        "configured_hz": config.hz,
        "lru_clock": now_ms // 1000 & LRU_CLOCK_MASK,
        "executable": sys.executable,
        "config_file": config.file or "",
        "io_threads_active": 0,
    }


def _compiler_version() -> str:
    found = re.search(r"\d+\.\d+\.\d+", platform.python_compiler())
    return found[0] if found else "0.0.0"


def clients(server: ServerContext) -> Fields:
    """Who is connected."""
    buffers = client_memory(server)
    return {
        "connected_clients": len(server.clients),
        "cluster_connections": 0,
        "maxclients": server.config.maxclients,
        "client_recent_max_input_buffer": buffers.largest_input_bytes,
        "client_recent_max_output_buffer": buffers.largest_output_bytes,
        "blocked_clients": sum(session.held_by is not None for session in server.clients.values()),
        "tracking_clients": len(server.tracking.clients),
        "clients_in_timeout_table": 0,
    }


def memory(server: ServerContext) -> Fields:
    """Where the memory is; see ``kvorum.observe.memory`` for what counts as used."""
    report, config = memory_report(server), server.config
    machine = process.machine_bytes()
    return {
        "used_memory": report.used,
        "used_memory_human": human(report.used),
        "used_memory_rss": report.resident,
        "used_memory_rss_human": human(report.resident),
        "used_memory_peak": report.peak,
        "used_memory_peak_human": human(report.peak),
        "used_memory_peak_perc": f"{report.peak_percent:.2f}%",
        "used_memory_overhead": report.overhead,
        "used_memory_startup": report.startup,
        "used_memory_dataset": report.dataset,
        "used_memory_dataset_perc": f"{report.dataset_percent:.2f}%",
        "allocator_allocated": report.used,
        "allocator_active": report.allocator_resident,
        "allocator_resident": report.allocator_resident,
        "total_system_memory": machine,
        "total_system_memory_human": human(machine),
        **_scripting_memory(),
        "maxmemory": config.maxmemory,
        "maxmemory_human": human(config.maxmemory),
        "maxmemory_policy": config.maxmemory_policy,
        "allocator_frag_ratio": f"{report.allocator_ratio:.2f}",
        "allocator_frag_bytes": report.allocator_waste,
        "allocator_rss_ratio": "1.00",
        "allocator_rss_bytes": 0,
        "rss_overhead_ratio": f"{report.rss_ratio:.2f}",
        "rss_overhead_bytes": report.rss_waste,
        "mem_fragmentation_ratio": f"{report.total_ratio:.2f}",
        "mem_fragmentation_bytes": report.total_waste,
        "mem_not_counted_for_evict": 0,
        "mem_replication_backlog": 0,
        "mem_total_replication_buffers": 0,
        "mem_clients_slaves": 0,
        "mem_clients_normal": report.clients,
        "mem_cluster_links": 0,
        "mem_aof_buffer": 0,
        "mem_allocator": process.allocator_name(),
        "active_defrag_running": 0,
        "lazyfree_pending_objects": server.keyspace.pending_frees,
        "lazyfreed_objects": server.statistics.count("lazyfreed_objects"),
    }


def _scripting_memory() -> Fields:
    return {
        "used_memory_lua": 0,
        "used_memory_vm_eval": 0,
        "used_memory_lua_human": human(0),
        "used_memory_scripts_eval": 0,
        "number_of_cached_scripts": 0,
        "number_of_functions": 0,
        "number_of_libraries": 0,
        "used_memory_vm_functions": 0,
        "used_memory_vm_total": 0,
        "used_memory_vm_total_human": human(0),
        "used_memory_functions": 0,
        "used_memory_scripts": 0,
        "used_memory_scripts_human": human(0),
    }


def persistence(server: ServerContext) -> Fields:
    """What is on disk: nothing yet, so that everything is as after a start."""
    return {
        "loading": int(server.loading),
        "async_loading": 0,
        "current_cow_peak": 0,
        "current_cow_size": 0,
        "current_cow_size_age": 0,
        "current_fork_perc": "0.00",
        "current_save_keys_processed": 0,
        "current_save_keys_total": 0,
        "rdb_changes_since_last_save": server.effects.commands,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": server.started_ms // 1000,
        "rdb_last_bgsave_status": "ok",
        "rdb_last_bgsave_time_sec": -1,
        "rdb_current_bgsave_time_sec": -1,
        "rdb_saves": 0,
        "rdb_last_cow_size": 0,
        "rdb_last_load_keys_expired": 0,
        "rdb_last_load_keys_loaded": 0,
        "aof_enabled": 0,
        "aof_rewrite_in_progress": 0,
        "aof_rewrite_scheduled": 0,
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": "ok",
        "aof_rewrites": 0,
        "aof_rewrites_consecutive_failures": 0,
        "aof_last_write_status": "ok",
        "aof_last_cow_size": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    }


def stats(server: ServerContext) -> Fields:
    """What has happened since the start, or the last CONFIG RESETSTAT."""
    statistics = server.statistics
    return {
        "total_connections_received": statistics.count("total_connections_received"),
        "total_commands_processed": statistics.count("total_commands_processed"),
        "instantaneous_ops_per_sec": statistics.per_second("total_commands_processed"),
        "total_net_input_bytes": statistics.count("total_net_input_bytes"),
        "total_net_output_bytes": statistics.count("total_net_output_bytes"),
        "total_net_repl_input_bytes": statistics.count("total_net_repl_input_bytes"),
        "total_net_repl_output_bytes": statistics.count("total_net_repl_output_bytes"),
        "instantaneous_input_kbps": _kibi_per_second(server, "total_net_input_bytes"),
        "instantaneous_output_kbps": _kibi_per_second(server, "total_net_output_bytes"),
        "instantaneous_input_repl_kbps": _kibi_per_second(server, "total_net_repl_input_bytes"),
        "instantaneous_output_repl_kbps": _kibi_per_second(server, "total_net_repl_output_bytes"),
        "rejected_connections": statistics.count("rejected_connections"),
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_keys": statistics.count("expired_keys"),
        "expired_stale_perc": f"{server.expired_stale_percent:.2f}",
        "expired_time_cap_reached_count": statistics.count("expired_time_cap_reached_count"),
        "expire_cycle_cpu_milliseconds": statistics.expire_cycle_ns // 1_000_000,
        "evicted_keys": statistics.count("evicted_keys"),
        "evicted_clients": statistics.count("evicted_clients"),
        "total_eviction_exceeded_time": statistics.count("total_eviction_exceeded_time"),
        "current_eviction_exceeded_time": 0,
        "keyspace_hits": statistics.count("keyspace_hits"),
        "keyspace_misses": statistics.count("keyspace_misses"),
        "pubsub_channels": len(server.pubsub.channels),
        "pubsub_patterns": len(server.pubsub.patterns),
        "pubsubshard_channels": len(server.pubsub.shard_channels),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": len(server.migration),
        **_nothing_of_the_kind(),
        "tracking_total_keys": server.tracking.keys,
        "tracking_total_items": server.tracking.items,
        "tracking_total_prefixes": len(server.tracking.prefixes),
        "unexpected_error_replies": 0,
        "total_error_replies": statistics.error_replies,
        "dump_payload_sanitizations": 0,
        "total_reads_processed": statistics.count("total_reads_processed"),
        "total_writes_processed": statistics.count("total_writes_processed"),
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
    }


def _kibi_per_second(server: ServerContext, counter: str) -> str:
    return f"{server.statistics.per_second(counter) / 1024:.2f}"


def _nothing_of_the_kind() -> Fields:
    """Counters of what this server does not do."""
    return dict.fromkeys(
        (
            "slave_expires_tracked_keys",
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
        ),
        0,
    )


def cpu(server: ServerContext) -> Fields:
    """Processor time in seconds: the process, its children, the thread that serves clients."""
    own, children, thread = process.own_time(), process.children_time(), process.thread_time()
    fields: Fields = {
        "used_cpu_sys": f"{own.system:.6f}",
        "used_cpu_user": f"{own.user:.6f}",
        "used_cpu_sys_children": f"{children.system:.6f}",
        "used_cpu_user_children": f"{children.user:.6f}",
    }
    if thread is not None:
        fields["used_cpu_sys_main_thread"] = f"{thread.system:.6f}"
        fields["used_cpu_user_main_thread"] = f"{thread.user:.6f}"
    return fields


def modules(server: ServerContext) -> Fields:
    """There are no loadable modules."""
    return {}


def cluster(server: ServerContext) -> Fields:
    """Whether this node is part of a cluster."""
    return {"cluster_enabled": 0}


def keyspace(server: ServerContext) -> Fields:
    """One line for each database that has keys."""
    return {
        f"db{database.index}": (
            f"keys={len(database)},expires={database.volatile_count},avg_ttl={database.average_ttl_ms}"
        )
        for database in server.keyspace.databases
        if len(database)
    }
