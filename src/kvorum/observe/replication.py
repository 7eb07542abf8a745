"""ROLE, and the replication section of INFO: a server alone, or a member of a group in Redis' words.

The leader is the primary, all others are replicas. Offsets are positions in the log of the group, the same on every member:
``master_repl_offset`` is what is applied here, a replica's offset is how far its log is known to agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvorum.replication.raft.core.progress import Progress
    from kvorum.replication.raft.members import Member
    from kvorum.session.context import ServerContext
    from kvorum.session.group import GroupView

    Fields = dict[str, object]

NO_REPLICATION_ID = "0" * 40
CONNECTED = "connected"
CONNECT = "connect"


def replication(server: ServerContext) -> Fields:
    """The section of INFO."""
    group = server.group
    fields = _primary(server, group) if group is None or group.is_leader else _replica(server, group)
    fields |= {
        "master_failover_state": "no-failover",
        "master_replid": server.replication_id if group is None else _replication_id(group),
        "master_replid2": NO_REPLICATION_ID,
        "master_repl_offset": 0 if group is None else group.offset,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": server.config.repl_backlog_size,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    }
    return fields if group is None else fields | _group(group)


def role(server: ServerContext) -> list[object]:
    """The answer to ROLE."""
    group = server.group
    if group is None:
        return [b"master", 0, []]
    if group.is_leader:
        replicas = [
            [host.encode(), b"%d" % port, b"%d" % progress.match]
            for (host, port), progress in _replicas(group)
            if progress.recent_active
        ]
        return [b"master", group.offset, replicas]
    host, port = _address(group.leader)
    state = CONNECT if group.leader is None else CONNECTED
    return [b"slave", host.encode(), port, state.encode(), group.offset]


def _primary(server: ServerContext, group: GroupView | None) -> Fields:
    online = [] if group is None else [one for one in _replicas(group) if one[1].recent_active]
    fields: Fields = {"role": "master", "connected_slaves": len(online)}
    if server.config.min_replicas_to_write and server.config.min_replicas_max_lag:
        fields["min_slaves_good_slaves"] = 0 if group is None else group.reachable_replicas()
    for number, ((host, port), progress) in enumerate(online):
        fields[f"slave{number}"] = f"ip={host},port={port},state=online,offset={progress.match},lag=0"
    return fields


def _replica(server: ServerContext, group: GroupView) -> Fields:
    host, port = _address(group.leader)
    config, up = server.config, group.leader is not None
    fields: Fields = {
        "role": "slave",
        "master_host": host,
        "master_port": port,
        "master_link_status": "up" if up else "down",
        "master_last_io_seconds_ago": 0 if up else -1,
        "master_sync_in_progress": 0,
        "slave_read_repl_offset": group.offset,
        "slave_repl_offset": group.offset,
    }
    if not up:
        fields["master_link_down_since_seconds"] = -1
    fields |= {
        "slave_priority": config.replica_priority,
        "slave_read_only": 1,
        "replica_announced": int(config.replica_announced),
        "connected_slaves": 0,
    }
    return fields


def _group(group: GroupView) -> Fields:
    """What only groups have."""
    leader = group.leader
    others = [member.peer_address for member in group.members if member.raft_id != group.raft_id]
    return {
        "node_role": node_role(group),
        "leader_id": "" if leader is None else leader.name,
        "leader_raft_addr": "" if leader is None else leader.peer_address,
        "known_peers": ",".join(others),
        "term": group.term,
        "commit_index": group.commit_index,
        "applied_index": group.applied_index,
    }


def node_role(group: GroupView) -> str:
    """``leader``, ``follower``, ``learner``; ``waiting`` before it belongs to a group."""
    if not group.group_id:
        return "waiting"
    if group.is_leader:
        return "leader"
    return "learner" if group.members.is_learner(group.raft_id) else "follower"


def _replicas(group: GroupView) -> list[tuple[tuple[str, int], Progress]]:
    """Where clients reach the others, and how far they are; empty unless this member leads others."""
    if len(group.members) < 2:
        return []
    progress = group.status().progress
    others = [member for member in group.members if member.raft_id != group.raft_id and member.raft_id in progress]
    return [(_address(member), progress[member.raft_id]) for member in others]


def _address(member: Member | None) -> tuple[str, int]:
    """As Redis shows it: host and port, which are empty and 0 if nobody is known."""
    if member is None:
        return "", 0
    host, _, port = member.client_address.rpartition(":")
    return host.strip("[]"), int(port)


def _replication_id(group: GroupView) -> str:
    """40 digits that all members of a group share."""
    return (group.group_id + NO_REPLICATION_ID)[:40]
