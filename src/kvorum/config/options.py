"""Every option, declared once: CONFIG, configuration files, flags, environment, help and documentation derive from
this table.

Names, aliases, ranges and refusals are those of redis-server 7.0.15 and 7.2; defaults too, where DESIGN does not say
otherwise (``appendonly yes``, ``save ""``). ``effect`` is honest about this version: LIVE options do what they say;
LATER ones are accepted and do nothing yet; NONE ones tune something that does not exist here (jemalloc, fork, ziplists) and never
will do anything. Where silence would break a promise (durability, limits, replication, encryption) the value is
refused instead: ``lacking`` says why.

Order matters: it is the order of ``--help``, of docs/options.md and of what CONFIG REWRITE appends.
"""

from __future__ import annotations

import enum
import re
from enum import StrEnum
from typing import NamedTuple

from kvorum.config.kinds import (
    GIBI,
    INT_MAX,
    INT_MIN,
    KIBI,
    LATER,
    LONG_MAX,
    MEBI,
    NONE,
    UINT_MAX,
    ULONG_MAX,
    Boolean,
    Check,
    Directory,
    Enumeration,
    Flags,
    Integer,
    KeyspaceEvents,
    Memory,
    MemoryOrPercent,
    Octal,
    OomScores,
    Option,
    OutputLimit,
    OutputLimits,
    OutputLimitsOption,
    Percentiles,
    ReplicaOf,
    SavePoints,
    Secret,
    Text,
    Words,
)


class LogLevel(StrEnum):
    DEBUG = "debug"
    VERBOSE = "verbose"
    NOTICE = "notice"
    WARNING = "warning"
    NOTHING = "nothing"


class MaxmemoryPolicy(StrEnum):
    VOLATILE_LRU = "volatile-lru"
    VOLATILE_LFU = "volatile-lfu"
    VOLATILE_RANDOM = "volatile-random"
    VOLATILE_TTL = "volatile-ttl"
    ALLKEYS_LRU = "allkeys-lru"
    ALLKEYS_LFU = "allkeys-lfu"
    ALLKEYS_RANDOM = "allkeys-random"
    NOEVICTION = "noeviction"


class AppendFsync(StrEnum):
    EVERYSEC = "everysec"
    ALWAYS = "always"
    NO = "no"


class Allowed(StrEnum):
    """Who may use a dangerous command or option: nobody, everybody, or connections from this machine."""

    NO = "no"
    YES = "yes"
    LOCAL = "local"


class Supervised(StrEnum):
    UPSTART = "upstart"
    SYSTEMD = "systemd"
    AUTO = "auto"
    NO = "no"


class SyslogFacility(StrEnum):
    USER = "user"
    LOCAL0 = "local0"
    LOCAL1 = "local1"
    LOCAL2 = "local2"
    LOCAL3 = "local3"
    LOCAL4 = "local4"
    LOCAL5 = "local5"
    LOCAL6 = "local6"
    LOCAL7 = "local7"


class DisklessLoad(StrEnum):
    DISABLED = "disabled"
    ON_EMPTY_DB = "on-empty-db"
    SWAPDB = "swapdb"


class TlsAuthClients(StrEnum):
    NO = "no"
    YES = "yes"
    OPTIONAL = "optional"


class OomScoreAdj(StrEnum):
    NO = "no"
    YES = "yes"
    RELATIVE = "relative"
    ABSOLUTE = "absolute"


class AclPubsubDefault(StrEnum):
    ALLCHANNELS = "allchannels"
    RESETCHANNELS = "resetchannels"


class SanitizeDumpPayload(StrEnum):
    NO = "no"
    YES = "yes"
    CLIENTS = "clients"


class EndpointType(StrEnum):
    IP = "ip"
    HOSTNAME = "hostname"
    UNKNOWN_ENDPOINT = "unknown-endpoint"


class PropagationErrorBehavior(StrEnum):
    IGNORE = "ignore"
    PANIC = "panic"
    PANIC_ON_REPLICAS = "panic-on-replicas"


class Acks(StrEnum):
    """When a write is answered: once a quorum has it on disk, or at once."""

    QUORUM = "quorum"
    LEADER = "leader"


class Reads(StrEnum):
    """What a read may rest on: a confirmation by a quorum, the leader's lease, or what this member has applied."""

    LINEARIZABLE = "linearizable"
    LEASE = "lease"
    LOCAL = "local"


class FollowerWrites(StrEnum):
    """What a member that does not lead does with a command that is for the leader."""

    FORWARD = "forward"
    REDIRECT = "redirect"
    REFUSE = "refuse"


class ShutdownFlag(enum.Flag):
    """How a signal ends the server; none of them: by what ``save`` says."""

    SAVE = 1
    NOSAVE = 2
    NOW = 4
    FORCE = 8


SHUTDOWN_WORDS = {
    "default": ShutdownFlag(0),
    "save": ShutdownFlag.SAVE,
    "nosave": ShutdownFlag.NOSAVE,
    "now": ShutdownFlag.NOW,
    "force": ShutdownFlag.FORCE,
}


class NotifyFlag(enum.IntFlag):
    """Classes of keyspace events, with Redis' bit values."""

    KEYSPACE = 1 << 0
    KEYEVENT = 1 << 1
    GENERIC = 1 << 2
    STRING = 1 << 3
    LIST = 1 << 4
    SET = 1 << 5
    HASH = 1 << 6
    ZSET = 1 << 7
    EXPIRED = 1 << 8
    EVICTED = 1 << 9
    STREAM = 1 << 10
    KEY_MISS = 1 << 11
    MODULE = 1 << 13
    NEW = 1 << 14


# In the order in which CONFIG GET lists them.
NOTIFY_CHARACTERS = {
    "g": NotifyFlag.GENERIC,
    "$": NotifyFlag.STRING,
    "l": NotifyFlag.LIST,
    "s": NotifyFlag.SET,
    "h": NotifyFlag.HASH,
    "z": NotifyFlag.ZSET,
    "x": NotifyFlag.EXPIRED,
    "e": NotifyFlag.EVICTED,
    "t": NotifyFlag.STREAM,
    "d": NotifyFlag.MODULE,
    "n": NotifyFlag.NEW,
    "K": NotifyFlag.KEYSPACE,
    "E": NotifyFlag.KEYEVENT,
    "m": NotifyFlag.KEY_MISS,
}
NOTIFY_ALL = (
    NotifyFlag.GENERIC | NotifyFlag.STRING | NotifyFlag.LIST | NotifyFlag.SET | NotifyFlag.HASH | NotifyFlag.ZSET
    | NotifyFlag.EXPIRED | NotifyFlag.EVICTED | NotifyFlag.STREAM | NotifyFlag.MODULE
)  # fmt: skip

MAX_BIND_ADDRESSES = 16
MAX_PEERS = 64
MAX_HOST_LENGTH = 256
MAX_DATABASES = 65536  # redis-server takes any number, and then aborts when memory does not suffice
PROC_TITLE_VARIABLES = frozenset(
    ("title", "listen-addr", "server-mode", "config-file", "port", "tls-port", "unixsocket")
)


class Topic(NamedTuple):
    """Opens a section of the table."""

    title: str


def _not_a_path(kind: str, name: str, required: bool = True) -> Check:
    def check(value: str) -> str | None:
        if required and not value:
            return f"{name} can't be empty"
        return f"{name} can't be a path, just a {kind}" if "/" in value or "\\" in value else None

    return check


def _node_id(value: str) -> str | None:
    if value and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        return "a node-id has 1 to 64 letters, digits, dots, dashes and underscores"
    return None


def _address(value: str) -> str | None:
    """``host:port``, or ``[ip6]:port``; nothing is fine too."""
    host, _, port = value.rpartition(":")
    if value and not (re.fullmatch(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,251}\]", host) and _is_port(port)):
        return f"'{value}' is no address of the form host:port"
    return None


def _is_port(word: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", word)) and 0 < int(word) <= 65535


def _addresses(values: tuple[str, ...]) -> str | None:
    for value in values:
        reason = _address(value)
        if reason:
            return reason
    return "an address is there twice" if len(set(values)) < len(values) else None


def _not_too_many_databases(value: int) -> str | None:
    return f"there cannot be more than {MAX_DATABASES} databases" if value > MAX_DATABASES else None


def _no_defragmentation(value: bool) -> str | None:
    return "Active defragmentation cannot be enabled: it needs a Redis built with its own jemalloc" if value else None


def _shutdown_flags(value: ShutdownFlag) -> str | None:
    if ShutdownFlag.SAVE in value and ShutdownFlag.NOSAVE in value:
        return "shutdown options SAVE and NOSAVE can't be used simultaneously"
    return None


def _host_name(value: str) -> str | None:
    if len(value) >= MAX_HOST_LENGTH:
        return f"Hostnames must be less than {MAX_HOST_LENGTH} characters"
    if not all(character.isascii() and (character.isalnum() or character in "-.") for character in value):
        return "Hostnames may only contain alphanumeric characters, hyphens or dots"
    return None


def _node_name(value: str) -> str | None:
    if any(character in '!#$%&()*+:;<>?@[]^{|}~"\\, =' or not character.isprintable() for character in value):
        return "Announced human node name contained invalid character"
    return None


def _title_template(value: str) -> str | None:
    rest, filled = value, ""
    while "{" in rest:
        before, rest = rest.split("{", 1)
        filled += before
        if rest.startswith("{"):
            rest = rest[1:]
            filled += "{"
            continue
        variable, brace, rest = rest.partition("}")
        if not brace or variable not in PROC_TITLE_VARIABLES:
            return "template format is invalid or contains unknown variables"
        filled += "" if variable == "server-mode" else "x"
    return None if (filled + rest).strip(" ") else "template format is invalid or contains unknown variables"


_NO_REPLICATION = "there is no replication yet"
_NO_CLUSTER = "there is no cluster mode yet"
_NO_TLS = "there are no TLS connections yet"


class Options:
    """The table. Attributes are named as the options, with underscores; ``Option`` says what the arguments mean."""

    _network = Topic("Network")
    bind = Words(
        ("*", "-::*"), "Addresses to listen on; a leading minus forgives one that does not exist here.",
        limit=MAX_BIND_ADDRESSES, too_many="Too many bind addresses specified.", synonyms=("host",),
    )  # fmt: skip
    port = Integer(6379, 0, 65535, "TCP port for clients; 0: any that is free.")
    protected_mode = Boolean(True, "Without a password, refuse clients from other machines.")
    unixsocket = Text("", "Path of a Unix socket to listen on.", optional=True, mutable=False)
    unixsocketperm = Octal(0, 0, 0o777, "Permissions of that socket; 0 leaves them to the umask.", mutable=False)
    tcp_backlog = Integer(511, 0, INT_MAX, "How many connections may wait to be accepted.", mutable=False)
    tcp_keepalive = Integer(300, 0, INT_MAX, "Silence after which the kernel probes a connection; 0: never.", unit="s")
    timeout = Integer(0, 0, INT_MAX, "Idle time after which a client is disconnected; 0: never.", unit="s")
    maxclients = Integer(10000, 1, UINT_MAX, "How many clients may be connected at once.")
    socket_mark_id = Integer(
        0, 0, UINT_MAX, "Mark for packet filters on listening sockets.", mutable=False,
        lacking="sockets cannot be marked yet",
    )  # fmt: skip
    bind_source_addr = Text(
        "", "Address from which connections to other servers are made.", optional=True, effect=LATER
    )
    client_query_buffer_limit = Memory(GIBI, MEBI, LONG_MAX, "How much unprocessed input one client may pile up.")
    client_output_buffer_limit = OutputLimitsOption(
        OutputLimits(
            normal=OutputLimit(0, 0, 0),
            replica=OutputLimit(256 * MEBI, 64 * MEBI, 60),
            pubsub=OutputLimit(32 * MEBI, 8 * MEBI, 60),
        ),
        "How much unread output one client may pile up, by class.",
    )
    proto_max_bulk_len = Memory(
        512 * MEBI, MEBI, LONG_MAX, "The longest single argument, and the longest string value."
    )
    io_threads = Integer(1, 1, 128, "Threads for input and output.", mutable=False, effect=NONE)
    io_threads_do_reads = Boolean(False, "Whether those threads also read.", mutable=False, effect=NONE)
    http_port = Integer(
        0, 0, 65535, "Port for health, metrics and the web page; 0: none.", lacking="there is no HTTP server yet"
    )
    text_port = Integer(
        0, 0, 65535, "Port for the unframed text protocol; 0: none.", lacking="there is no text protocol yet"
    )

    _tls = Topic("TLS")
    tls_port = Integer(0, 0, 65535, "Port for clients that use TLS; 0: none.", lacking=_NO_TLS)
    tls_cert_file = Text("", "The server's certificate, PEM.", optional=True, effect=LATER)
    tls_key_file = Text("", "The private key of that certificate.", optional=True, effect=LATER)
    tls_key_file_pass = Secret("Pass phrase of that key.", effect=LATER)
    tls_client_cert_file = Text("", "Certificate shown to other servers.", optional=True, effect=LATER)
    tls_client_key_file = Text("", "Private key of that certificate.", optional=True, effect=LATER)
    tls_client_key_file_pass = Secret("Pass phrase of that key.", effect=LATER)
    tls_dh_params_file = Text("", "Diffie-Hellman parameters.", optional=True, effect=LATER)
    tls_ca_cert_file = Text("", "Certificates of the authorities to trust, one file.", optional=True, effect=LATER)
    tls_ca_cert_dir = Text("", "The same, a directory.", optional=True, effect=LATER)
    tls_auth_clients = Enumeration(TlsAuthClients.YES, "Whether clients must show a certificate.", effect=LATER)
    tls_replication = Boolean(False, "Whether replication uses TLS.", lacking=_NO_TLS)
    tls_cluster = Boolean(False, "Whether the nodes of a cluster speak TLS.", lacking=_NO_TLS)
    tls_protocols = Text("", "Versions of TLS to allow.", optional=True, effect=LATER)
    tls_ciphers = Text("", "Ciphers for TLS up to 1.2.", optional=True, effect=LATER)
    tls_ciphersuites = Text("", "Ciphers for TLS 1.3.", optional=True, effect=LATER)
    tls_prefer_server_ciphers = Boolean(False, "Whether the server's order of ciphers counts.", effect=LATER)
    tls_session_caching = Boolean(True, "Whether sessions can be resumed.", effect=LATER)
    tls_session_cache_size = Integer(20 * KIBI, 0, INT_MAX, "How many sessions are kept; 0: no limit.", effect=LATER)
    tls_session_cache_timeout = Integer(300, 0, INT_MAX, "How long they are kept.", unit="s", effect=LATER)

    _security = Topic("Security")
    requirepass = Secret("Password of the default user.")
    aclfile = Text("", "File of users and their rights.", mutable=False, lacking="there are no ACL files yet")
    acllog_max_len = Integer(128, 0, LONG_MAX, "Entries that ACL LOG keeps.", effect=LATER)
    acl_pubsub_default = Enumeration(AclPubsubDefault.RESETCHANNELS, "Channels that a new user may use.", effect=LATER)
    enable_protected_configs = Enumeration(Allowed.NO, "Who may set protected options by CONFIG SET.", mutable=False)
    enable_debug_command = Enumeration(Allowed.NO, "Who may use DEBUG.", mutable=False)
    enable_module_command = Enumeration(Allowed.NO, "Who may use MODULE.", mutable=False, effect=NONE)

    _memory = Topic("Memory")
    maxmemory = Memory(0, 0, ULONG_MAX, "Limit for the data set, above which keys are evicted; 0: no limit.")
    maxmemory_policy = Enumeration(MaxmemoryPolicy.NOEVICTION, "Which keys are evicted at the limit.")
    maxmemory_samples = Integer(5, 1, INT_MAX, "How many keys are looked at to find one to evict.")
    maxmemory_eviction_tenacity = Integer(
        10, 0, 100, "How long one eviction may hold up clients, 0 to 100.", effect=LATER
    )
    maxmemory_clients = MemoryOrPercent(
        0, -100, LONG_MAX, "Limit for the memory of all clients together, also as a share of maxmemory; 0: no limit."
    )
    lfu_log_factor = Integer(10, 0, INT_MAX, "How slowly the LFU counter of a key grows.")
    lfu_decay_time = Integer(1, 0, INT_MAX, "Minutes after which it falls by one.", unit="min")
    lazyfree_lazy_eviction = Boolean(False, "Log the deletion of evicted keys as UNLINK instead of DEL.")
    lazyfree_lazy_expire = Boolean(False, "Log the deletion of expired keys as UNLINK instead of DEL.")
    lazyfree_lazy_server_del = Boolean(False, "Free overwritten values in the background.", effect=LATER)
    lazyfree_lazy_user_del = Boolean(False, "Let DEL behave as UNLINK.")
    lazyfree_lazy_user_flush = Boolean(False, "Let FLUSHALL and FLUSHDB be ASYNC unless told SYNC.")
    tracking_table_max_keys = Integer(1000000, 0, LONG_MAX, "Keys remembered for client-side caching; 0: no limit.")

    _data = Topic("Data")
    databases = Integer(16, 1, INT_MAX, "Number of databases.", mutable=False, check=_not_too_many_databases)
    active_expire_effort = Integer(1, 1, 10, "How hard expired keys are looked for.")
    notify_keyspace_events = KeyspaceEvents(
        NotifyFlag(0), NOTIFY_CHARACTERS, NOTIFY_ALL, "Which events of keys are published."
    )
    hash_max_listpack_entries = Integer(
        512, 0, LONG_MAX, "Fields up to which a hash is a listpack.", aliases=("hash-max-ziplist-entries",)
    )
    hash_max_listpack_value = Memory(
        64, 0, LONG_MAX, "Longest field or value for that.", aliases=("hash-max-ziplist-value",)
    )
    list_max_listpack_size = Integer(
        -2, INT_MIN, INT_MAX, "Size of a list's nodes: entries, or -1 to -5 for 4 to 64 kB.",
        aliases=("list-max-ziplist-size",),
    )  # fmt: skip
    list_compress_depth = Integer(0, 0, INT_MAX, "Nodes at each end of a list that stay uncompressed.", effect=NONE)
    set_max_intset_entries = Integer(512, 0, LONG_MAX, "Members up to which a set of integers is an intset.")
    set_max_listpack_entries = Integer(
        128, 0, LONG_MAX, "Members up to which another set is kept compactly, reported as a hashtable."
    )
    set_max_listpack_value = Integer(64, 0, LONG_MAX, "Longest member for that.")
    zset_max_listpack_entries = Integer(
        128, 0, LONG_MAX, "Members up to which a sorted set is a listpack.", aliases=("zset-max-ziplist-entries",)
    )
    zset_max_listpack_value = Memory(64, 0, LONG_MAX, "Longest member for that.", aliases=("zset-max-ziplist-value",))
    hll_sparse_max_bytes = Memory(3000, 0, LONG_MAX, "Size up to which a HyperLogLog stays sparse.", effect=LATER)
    stream_node_max_bytes = Memory(4096, 0, LONG_MAX, "Size of a stream's nodes; 0: no limit.", effect=LATER)
    stream_node_max_entries = Integer(100, 0, LONG_MAX, "Entries in a stream's node; 0: no limit.", effect=LATER)
    sanitize_dump_payload = Enumeration(
        SanitizeDumpPayload.NO, "Whether RESTORE checks its payload thoroughly: here it always does.", effect=NONE
    )

    _running = Topic("Running")
    hz = Integer(10, 0, INT_MAX, "How often background work is done, 1 to 500.", unit="1/s", capped=(1, 500))
    dynamic_hz = Boolean(True, "Do it more often while many clients are connected.", effect=NONE)
    busy_reply_threshold = Integer(
        5000, 0, LONG_MAX, "Time after which a running script lets others hear BUSY.", unit="ms", effect=LATER,
        aliases=("lua-time-limit",),
    )  # fmt: skip
    shutdown_timeout = Integer(10, 0, INT_MAX, "How long a shutdown waits for replicas.", unit="s", effect=LATER)
    shutdown_on_sigint = Flags(
        ShutdownFlag(0), SHUTDOWN_WORDS, "What SIGINT does.", check=_shutdown_flags,
    )  # fmt: skip
    shutdown_on_sigterm = Flags(
        ShutdownFlag(0), SHUTDOWN_WORDS, "What SIGTERM does.", check=_shutdown_flags,
    )  # fmt: skip
    daemonize = Boolean(
        False, "Run in the background.", mutable=False,
        lacking="kvorum stays in the foreground; start it in the background or under a supervisor",
    )  # fmt: skip
    supervised = Enumeration(
        Supervised.NO, "Tell a supervisor when the server is ready.", mutable=False,
        lacking="upstart is not told of anything", harmless=lambda value: value is not Supervised.UPSTART,
    )  # fmt: skip
    pidfile = Text("", "File that holds the process number while the server runs.", optional=True, mutable=False)
    always_show_logo = Boolean(False, "Show a logo at start.", mutable=False, effect=NONE)
    set_proc_title = Boolean(True, "Whether the process changes its title.", mutable=False, effect=NONE)
    proc_title_template = Text(
        "{title} {listen-addr} {server-mode}", "What it changes it to.", check=_title_template, effect=NONE
    )
    crash_log_enabled = Boolean(True, "Report crashes to the log.", effect=NONE)
    crash_memcheck_enabled = Boolean(True, "Test memory after a crash.", effect=NONE)
    use_exit_on_panic = Boolean(False, "Exit instead of aborting after a panic.", hidden=True, effect=NONE)
    watchdog_period = Integer(0, 0, INT_MAX, "Software watchdog.", unit="ms", hidden=True, effect=NONE)
    oom_score_adj = Enumeration(
        OomScoreAdj.NO, "Whether the kernel's out-of-memory score is set.", effect=NONE,
        other_words={"relative": OomScoreAdj.YES},
    )  # fmt: skip
    oom_score_adj_values = OomScores((0, 200, 800), "Scores of primaries, replicas and children.", effect=NONE)
    disable_thp = Boolean(True, "Turn transparent huge pages off for the process.", mutable=False, effect=NONE)
    jemalloc_bg_thread = Boolean(True, "jemalloc's background thread.", effect=NONE)
    activedefrag = Boolean(False, "Defragment memory while running.", check=_no_defragmentation, effect=NONE)
    active_defrag_cycle_min = Integer(1, 1, 99, "Least effort of that, percent.", effect=NONE)
    active_defrag_cycle_max = Integer(25, 1, 99, "Most effort of that, percent.", effect=NONE)
    active_defrag_threshold_lower = Integer(10, 0, 1000, "Fragmentation at which it starts, percent.", effect=NONE)
    active_defrag_threshold_upper = Integer(100, 0, 1000, "Fragmentation at full effort, percent.", effect=NONE)
    active_defrag_ignore_bytes = Memory(100 * MEBI, 1, LONG_MAX, "Waste below which it rests.", effect=NONE)
    active_defrag_max_scan_fields = Integer(1000, 1, LONG_MAX, "Elements handled at once.", effect=NONE)
    activerehashing = Boolean(True, "Let tables grow while the server is idle, too.", effect=NONE)
    ignore_warnings = Text("", "Warnings at start to keep quiet about.", effect=NONE)
    locale_collate = Text("", "Locale by which SORT ALPHA compares.", effect=LATER)
    server_cpulist = Text("", "CPUs for the server.", optional=True, mutable=False, effect=LATER, name="server_cpulist")
    bio_cpulist = Text(
        "", "CPUs for background threads.", optional=True, mutable=False, effect=LATER, name="bio_cpulist"
    )
    aof_rewrite_cpulist = Text(
        "", "CPUs for compaction.", optional=True, mutable=False, effect=NONE, name="aof_rewrite_cpulist"
    )
    bgsave_cpulist = Text("", "CPUs for snapshots.", optional=True, mutable=False, effect=NONE, name="bgsave_cpulist")

    _logging = Topic("Logging and measuring")
    loglevel = Enumeration(
        LogLevel.NOTICE, "The least important lines to log.",
        other_words={"info": LogLevel.NOTICE, "warn": LogLevel.WARNING, "error": LogLevel.WARNING},
    )  # fmt: skip
    logfile = Text("", "File to log to instead of standard output.", mutable=False)
    logdir = Text("", "Directory for redis.log, the same lines as JSON.", optional=True, protected=True)
    log_sampling = Boolean(True, "Thin out and count lines that repeat themselves.")
    log_sampling_interval = Integer(1, 1, 3600, "Time within which a line counts as repeated.", unit="s")
    syslog_enabled = Boolean(False, "Log to syslog.", mutable=False, lacking="there is no syslog output")
    syslog_ident = Text("redis", "Name of the program there.", mutable=False, effect=LATER)
    syslog_facility = Enumeration(SyslogFacility.LOCAL0, "Facility there.", mutable=False, effect=LATER)
    slowlog_log_slower_than = Integer(
        10000, -1, LONG_MAX, "Duration from which a command enters SLOWLOG; -1: none does.", unit="µs"
    )
    slowlog_max_len = Integer(128, 0, LONG_MAX, "Entries that SLOWLOG keeps.")
    latency_monitor_threshold = Integer(
        0, 0, LONG_MAX, "Duration from which an event enters LATENCY; 0: none does.", unit="ms"
    )
    latency_tracking = Boolean(True, "Keep a histogram of durations for each command.")
    latency_tracking_info_percentiles = Percentiles((50.0, 99.0, 99.9), "Which of its percentiles INFO shows.")

    _persistence = Topic("Persistence")
    dir = Directory(".", "Directory for all files.", protected=True, denied_while_loading=True)
    save = SavePoints(
        (), "When to write a snapshot: after so many seconds if there were so many changes.",
    )  # fmt: skip
    dbfilename = Text(
        "dump.rdb", "Name of the snapshot.", protected=True, check=_not_a_path("filename", "dbfilename", False),
        synonyms=("dbfile",),
    )  # fmt: skip
    stop_writes_on_bgsave_error = Boolean(
        True, "Refuse writes while there are save points and the last snapshot failed."
    )
    rdbcompression = Boolean(True, "Compress strings in snapshots and in the payloads of DUMP.")
    rdbchecksum = Boolean(True, "Put a checksum into snapshots.", mutable=False)
    rdb_del_sync_files = Boolean(False, "Delete snapshots that only replication needed: none does.", effect=NONE)
    rdb_save_incremental_fsync = Boolean(True, "Force a snapshot to disk every 4 MB while it is written.")
    appendonly = Boolean(True, "Log every change to the append-only file.", denied_while_loading=True)
    appendfilename = Text(
        "appendonly.aof", "First part of the names of its files.", mutable=False,
        check=_not_a_path("filename", "appendfilename"),
    )  # fmt: skip
    appenddirname = Text(
        "appendonlydir", "Their directory, within dir.", mutable=False,
        check=_not_a_path("dirname", "appenddirname"),
    )  # fmt: skip
    node_id = Text(
        "", "Identity of this node, to which the append-only files must belong; empty: theirs, or a new one.",
        optional=True, mutable=False, check=_node_id,
    )  # fmt: skip
    appendfsync = Enumeration(AppendFsync.EVERYSEC, "When that log is forced to disk.")
    no_appendfsync_on_rewrite = Boolean(False, "Not while it is being compacted, or a snapshot written.")
    auto_aof_rewrite_percentage = Integer(100, 0, INT_MAX, "Growth at which it is compacted.", unit="%")
    auto_aof_rewrite_min_size = Memory(64 * MEBI, 0, LONG_MAX, "Size below which it is not.")
    aof_segment_size = Memory(256 * MEBI, 64 * KIBI, LONG_MAX, "Size at which the log goes on in another file.")
    aof_load_truncated = Boolean(True, "Start although the log ends in the middle of an entry, which is cut off.")
    aof_use_rdb_preamble = Boolean(
        True, "Begin a compacted log with a snapshot.",
        lacking="a compacted log always begins with a snapshot, as Redis' own does by default",
    )  # fmt: skip
    aof_timestamp_enabled = Boolean(False, "Put times into the log in Redis' form, too.")
    aof_rewrite_incremental_fsync = Boolean(True, "Force a new base of the log to disk every 4 MB while it is written.")
    aof_disable_auto_gc = Boolean(False, "Keep the log's old files: they are always removed.", effect=NONE)
    rdb_key_save_delay = Integer(
        0, INT_MIN, INT_MAX, "Pause after each key of a file that is written in the background, for tests.", unit="µs",
        hidden=True,
    )  # fmt: skip
    key_load_delay = Integer(
        0, INT_MIN, INT_MAX, "Pause after each loaded key, for tests.", unit="µs", hidden=True, effect=NONE
    )
    loading_process_events_interval_bytes = Integer(
        2 * MEBI, 1024, INT_MAX, "Bytes loaded between looks at clients.", hidden=True, effect=NONE
    )

    _replication = Topic("Replication")
    replicaof = ReplicaOf(
        None, "Host and port of the primary to follow.", mutable=False, aliases=("slaveof",), lacking=_NO_REPLICATION
    )
    masteruser = Text("", "User to be there.", optional=True, sensitive=True, effect=LATER)
    masterauth = Secret("Password to give there.", effect=LATER)
    replica_read_only = Boolean(True, "Refuse writes on a replica.", effect=LATER, aliases=("slave-read-only",))
    replica_serve_stale_data = Boolean(
        True, "Answer although the primary is away.", effect=LATER, aliases=("slave-serve-stale-data",)
    )
    replica_priority = Integer(
        100, 0, INT_MAX, "Who is promoted first; 0: never.", effect=LATER, aliases=("slave-priority",)
    )
    replica_announced = Boolean(True, "Whether monitors hear of this replica.", effect=LATER)
    replica_announce_ip = Text(
        "", "Address by which it is known.", optional=True, effect=LATER, aliases=("slave-announce-ip",)
    )
    replica_announce_port = Integer(
        0, 0, 65535, "Port by which it is known.", effect=LATER, aliases=("slave-announce-port",)
    )
    replica_lazy_flush = Boolean(
        False, "Free the old data set in the background.", effect=LATER, aliases=("slave-lazy-flush",)
    )
    replica_ignore_maxmemory = Boolean(
        True, "Leave eviction to the primary.", effect=LATER, aliases=("slave-ignore-maxmemory",)
    )
    replica_ignore_disk_write_errors = Boolean(False, "Go on when the log cannot be written.", effect=LATER)
    repl_diskless_sync = Boolean(True, "Send snapshots without writing them first.", effect=LATER)
    repl_diskless_sync_delay = Integer(5, 0, INT_MAX, "Wait for more replicas before.", unit="s", effect=LATER)
    repl_diskless_sync_max_replicas = Integer(0, 0, INT_MAX, "Replicas for which not to wait.", effect=LATER)
    repl_diskless_load = Enumeration(
        DisklessLoad.DISABLED, "Load a snapshot straight from the network.", denied_while_loading=True, effect=LATER
    )
    repl_disable_tcp_nodelay = Boolean(False, "Fewer, bigger packets to replicas.", effect=LATER)
    repl_ping_replica_period = Integer(
        10, 1, INT_MAX, "Time between pings.", unit="s", effect=LATER, aliases=("repl-ping-slave-period",)
    )
    repl_timeout = Integer(60, 1, INT_MAX, "Silence after which a link is broken.", unit="s", effect=LATER)
    repl_backlog_size = Memory(
        MEBI, 1, LONG_MAX, "How much is kept for replicas that come back.", capped=(16 * KIBI, LONG_MAX), effect=LATER
    )
    repl_backlog_ttl = Integer(
        3600, 0, LONG_MAX, "How long it is kept when none is left; 0: for ever.", unit="s", effect=LATER
    )
    min_replicas_to_write = Integer(
        0, 0, INT_MAX, "Other members of the group without which writes are refused.", aliases=("min-slaves-to-write",)
    )
    min_replicas_max_lag = Integer(
        10, 0, INT_MAX, "0: none are needed after all; else those count that were heard of within raft-election-ms.", unit="s",
        aliases=("min-slaves-max-lag",),
    )  # fmt: skip
    propagation_error_behavior = Enumeration(
        PropagationErrorBehavior.IGNORE, "What a replica does when a change fails.", effect=LATER
    )

    _group = Topic("Group")
    peers = Words(
        (), "Addresses of all members of a group that forms itself once all of them are there, this one included.",
        limit=MAX_PEERS, too_many="A group has at most 64 members.", mutable=False, check=_addresses,
    )  # fmt: skip
    raft_bootstrap = Boolean(
        False, "Found a group whose first member this is, with the data that are here.", mutable=False
    )
    raft_join = Words(
        (), "Members of a group to join: any of them, the leader is found.", limit=MAX_PEERS,
        too_many="A group has at most 64 members.", mutable=False, check=_addresses,
    )  # fmt: skip
    standalone = Boolean(False, "Be no member of any group, whatever else is set.", mutable=False)
    cluster_secret = Secret(
        "What the members of a group know and nobody else; without it they must be on one machine.", mutable=False
    )
    raft_announce = Text(
        "", "Address by which the other members reach this one; empty: the one in peers, or raft-bind, or host and port.",
        optional=True, mutable=False, check=_address,
    )  # fmt: skip
    announce = Text(
        "", "Address by which clients reach this member; empty: the host of raft-announce, and port.",
        optional=True, mutable=False, check=_address,
    )  # fmt: skip
    raft_bind = Text(
        "", "Address to listen on for other members only; empty: they come to the port of clients.",
        optional=True, mutable=False, check=_address,
    )  # fmt: skip
    raft_http = Text(
        "", "Address for joining by HTTP.", optional=True, mutable=False, check=_address,
        lacking="there is no HTTP server yet; members join through the port of clients (raft-join)",
    )  # fmt: skip
    raft_dir = Text("", "Directory for term and vote; empty: that of the log.", optional=True, mutable=False)
    acks = Enumeration(Acks.QUORUM, "When a write is answered: when a quorum of the group has it on disk, or at once.")
    reads = Enumeration(
        Reads.LINEARIZABLE, "What a read may rest on: a quorum's word, a lease by the clock, or what this member has.",
        mutable=False,
    )  # fmt: skip
    follower_writes = Enumeration(
        FollowerWrites.FORWARD, "What a member that does not lead does with what is for the leader."
    )
    raft_heartbeat_ms = Integer(50, 5, 10000, "Time between signs of life of the leader.", unit="ms", mutable=False)
    raft_election_ms = Integer(
        500, 50, 60000, "Silence after which the leader counts as lost; up to twice that.", unit="ms", mutable=False
    )
    raft_uncommitted_limit = Memory(
        64 * MEBI, MEBI, LONG_MAX, "Effects that may wait for a quorum before further writes are refused."
    )
    raft_log_keep = Memory(
        GIBI, 0, LONG_MAX, "How much log is kept for members that are behind, before they get a snapshot."
    )

    _cluster = Topic("Cluster")
    cluster_enabled = Boolean(False, "Be a node of a cluster.", mutable=False, lacking=_NO_CLUSTER)
    cluster_config_file = Text("nodes.conf", "File of the node's own.", mutable=False, effect=LATER)
    cluster_port = Integer(0, 0, 65535, "Port for other nodes.", mutable=False, effect=LATER)
    cluster_node_timeout = Integer(
        15000, 0, LONG_MAX, "Silence after which a node has failed.", unit="ms", effect=LATER
    )
    cluster_announce_ip = Text("", "Address by which the node is known.", optional=True, effect=LATER)
    cluster_announce_hostname = Text(
        "", "Host name by which it is known.", optional=True, check=_host_name, effect=LATER
    )
    cluster_announce_human_nodename = Text("", "Name for logs.", optional=True, check=_node_name, effect=LATER)
    cluster_announce_port = Integer(0, 0, 65535, "Port by which it is known.", effect=LATER)
    cluster_announce_tls_port = Integer(0, 0, 65535, "TLS port by which it is known.", effect=LATER)
    cluster_announce_bus_port = Integer(0, 0, 65535, "Port for nodes by which it is known.", effect=LATER)
    cluster_preferred_endpoint_type = Enumeration(
        EndpointType.IP, "What clients are told: address, host name or neither.", effect=LATER
    )
    cluster_require_full_coverage = Boolean(True, "Serve only while every slot is served.", effect=LATER)
    cluster_allow_reads_when_down = Boolean(False, "Read all the same.", effect=LATER)
    cluster_allow_pubsubshard_when_down = Boolean(True, "Publish all the same.", effect=LATER)
    cluster_allow_replica_migration = Boolean(True, "Let replicas move to primaries without one.", effect=LATER)
    cluster_migration_barrier = Integer(1, 0, INT_MAX, "Replicas that stay behind then.", effect=LATER)
    cluster_replica_validity_factor = Integer(
        10, 0, INT_MAX, "How stale a replica may be to be promoted.", effect=LATER,
        aliases=("cluster-slave-validity-factor",),
    )  # fmt: skip
    cluster_replica_no_failover = Boolean(
        False, "Never promote this replica.", effect=LATER, aliases=("cluster-slave-no-failover",)
    )
    cluster_link_sendbuf_limit = Memory(
        0, 0, ULONG_MAX, "Limit for what waits to be sent to a node; 0: none.", effect=LATER
    )
    cluster_ping_interval = Integer(0, 0, LONG_MAX, "Time between pings.", unit="ms", hidden=True, effect=NONE)


def _collect() -> tuple[Option[object], ...]:
    options: list[Option[object]] = []
    topic = ""
    for value in vars(Options).values():
        if isinstance(value, Topic):
            topic = value.title
        elif isinstance(value, Option):
            value.topic = topic
            options.append(value)
    return tuple(options)


# In the order of the table.
OPTIONS = _collect()
# By every name under which an option can be set, in lower case.
BY_NAME = {name: option for option in OPTIONS for name in option.names}
# Directives of old redis.conf files that redis-server, too, reads and forgets.
OBSOLETE = frozenset(("list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"))

assert len(BY_NAME) == sum(len(option.names) for option in OPTIONS), "two options share a name"
