"""Redis' error texts: the one place where they stand.

Clients match on the prefix and often on the words, so a text here is part of the protocol. Texts are bytes without the
leading ``-``. Handlers raise ``CommandError(text)``; the session turns it into an error reply and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence


class CommandError(Exception):
    """An error reply. ``message`` is the full text without the leading ``-``, prefix included."""

    def __init__(self, message: bytes) -> None:
        super().__init__(message)
        self.message = message

    @property
    def code(self) -> bytes:
        """The prefix, as counted by INFO errorstats."""
        return self.message.split(b" ", 1)[0]


class WrongTypeError(CommandError):
    """The key holds a value of another type than the command works on."""

    def __init__(self) -> None:
        super().__init__(WRONG_TYPE)


class StartupError(Exception):
    """The server cannot start; the message is one line for the operator, naming what is wrong and where."""


# Values and syntax
WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX = b"ERR syntax error"
NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
NO_SUCH_KEY = b"ERR no such key"
INCREMENT_OVERFLOW = b"ERR increment or decrement would overflow"
STRING_TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
OFFSET_OUT_OF_RANGE = b"ERR offset is out of range"
INVALID_CURSOR = b"ERR invalid cursor"
DB_OUT_OF_RANGE = b"ERR DB index is out of range"

# Admission
INTERNAL = b"ERR internal error, see the server's log"
NO_AUTHENTICATION = b"NOAUTH Authentication required."
WRONG_PASSWORD = b"WRONGPASS invalid username-password pair or user is disabled."
LOADING = b"LOADING Redis is loading the dataset in memory"
OUT_OF_MEMORY = b"OOM command not allowed when used memory > 'maxmemory'."
MAX_CLIENTS = b"ERR max number of clients reached"
PROTECTED_MODE = (
    b"DENIED This server runs in protected mode: no password is set for the default user, so that only clients on "
    b"this machine may connect. Set requirepass, bind other addresses on purpose with protected-mode no, or connect "
    b"from the loopback interface.\r\n"
)


def wrong_arity(full_name: bytes) -> bytes:
    """``full_name``: lower-case command name, for a subcommand ``container|sub``."""
    return b"ERR wrong number of arguments for '" + full_name + b"' command"


def invalid_expire(full_name: bytes) -> bytes:
    return b"ERR invalid expire time in '" + full_name + b"' command"


# Configuration
CONFIG_WITHOUT_FILE = b"ERR The server is running without a config file"


def config_unknown_option(name: bytes) -> bytes:
    return b"ERR Unknown option or number of arguments for CONFIG SET - '" + name + b"'"


def config_set_failed(name: bytes, reason: bytes) -> bytes:
    return b"ERR CONFIG SET failed (possibly related to argument '" + name + b"') - " + reason


def config_rewrite_failed(reason: bytes) -> bytes:
    return b"ERR Rewriting config file: " + reason


# Numbers in arguments
MUST_BE_POSITIVE = b"ERR value is out of range, must be positive"
TIMEOUT_NOT_AN_INTEGER = b"ERR timeout is not an integer or out of range"
TIMEOUT_NOT_A_FLOAT = b"ERR timeout is not a float or out of range"
TIMEOUT_NEGATIVE = b"ERR timeout is negative"
TIMEOUT_OUT_OF_RANGE = b"ERR timeout is out of range"


def out_of_bounds(lowest: int, highest: int) -> bytes:
    return b"ERR value is out of range, value must between %d and %d" % (lowest, highest)


# Keys
SAME_OBJECT = b"ERR source and destination objects are the same"
EXPIRE_NX_EXCLUDES = b"ERR NX and XX, GT or LT options at the same time are not compatible"
EXPIRE_GT_EXCLUDES_LT = b"ERR GT and LT options at the same time are not compatible"
WAITAOF_WITHOUT_LOG = b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."

BUSY_KEY = b"BUSYKEY Target key name already exists."
INVALID_TTL = b"ERR Invalid TTL value, must be >= 0"
INVALID_IDLE_TIME = b"ERR Invalid IDLETIME value, must be >= 0"
INVALID_FREQUENCY = b"ERR Invalid FREQ value, must be >= 0 and <= 255"
WRONG_PAYLOAD = b"ERR DUMP payload version or checksum are wrong"
BAD_PAYLOAD = b"ERR Bad data format"
NOT_SORTABLE = b"ERR One or more scores can't be converted into double"
MIGRATE_KEY_AND_KEYS = b"ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
MIGRATE_NO_CONNECTION = b"IOERR error or timeout connecting to the client"
MIGRATE_NOT_WRITTEN = b"IOERR error or timeout writing to target instance"
MIGRATE_NOT_READ = b"IOERR error or timeout reading from target instance"


def unsupported_value(reason: str) -> bytes:
    """Of DUMP and RESTORE, for a type of value that this server does not have."""
    return b"ERR Bad data format: " + reason.encode()


def refused_by_target(reply: bytes) -> bytes:
    """Of MIGRATE; ``reply`` is the error that came back, without the leading ``-``."""
    return b"ERR Target instance replied with error: " + reply


def unsupported_option(word: bytes) -> bytes:
    """``word`` is shown as C shows it: up to a NUL, and on one line."""
    shown = word.split(b"\0", 1)[0].replace(b"\r", b" ").replace(b"\n", b" ")
    return b"ERR Unsupported option " + shown


# Strings
DECREMENT_OVERFLOW = b"ERR decrement would overflow"
NAN_OR_INFINITY = b"ERR increment would produce NaN or Infinity"
LCS_NOT_STRINGS = b"ERR The specified keys must contain string values"
LCS_BOTH = b"ERR If you want both the length and indexes, please just use IDX."
LCS_TOO_LONG = b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"


# Hashes
HASH_VALUE_NOT_AN_INTEGER = b"ERR hash value is not an integer"
HASH_VALUE_NOT_A_FLOAT = b"ERR hash value is not a float"
NOT_FINITE = b"ERR value is NaN or Infinity"
COUNT_TOO_BIG = b"ERR value is out of range"
REPLY_TOO_LONG = b"ERR the reply would be too long"

# Commands of several keys
NUMKEYS_NOT_POSITIVE = b"ERR numkeys should be greater than 0"
NUMKEYS_TOO_MANY = b"ERR Number of keys can't be greater than number of args"
LIMIT_NEGATIVE = b"ERR LIMIT can't be negative"


# Sorted sets
NOT_A_SCORE_RANGE = b"ERR min or max is not a float"
NOT_A_MEMBER_RANGE = b"ERR min or max not valid string range item"
SCORE_IS_NAN = b"ERR resulting score is not a number (NaN)"
ZADD_NX_EXCLUDES_XX = b"ERR XX and NX options at the same time are not compatible"
ZADD_COMPARISONS = b"ERR GT, LT, and/or NX options at the same time are not compatible"
ZADD_INCR_TAKES_ONE = b"ERR INCR option supports a single increment-element pair"
LIMIT_NEEDS_RANGE = b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
NO_SCORES_BY_LEX = b"ERR syntax error, WITHSCORES not supported in combination with BYLEX"
NOT_A_WEIGHT = b"ERR weight value is not a float"


def no_input_key(full_name: bytes) -> bytes:
    return b"ERR at least 1 input key is needed for '" + full_name + b"' command"


# Bitmaps
BIT_OFFSET = b"ERR bit offset is not an integer or out of range"
BIT_VALUE = b"ERR bit is not an integer or out of range"
BIT_TO_FIND = b"ERR The bit argument must be 1 or 0."
BITOP_NOT_OF_SEVERAL = b"ERR BITOP NOT must be called with a single source key."
BITFIELD_TYPE = b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
BITFIELD_OVERFLOW = b"ERR Invalid OVERFLOW type specified"
BITFIELD_READ_ONLY = b"ERR BITFIELD_RO only supports the GET subcommand"


# Functions
FUNCTION_FLUSH_OPTION = b"ERR FUNCTION FLUSH only supports SYNC|ASYNC option"


# Lists
INDEX_OUT_OF_RANGE = b"ERR index out of range"
RANK_IS_ZERO = (
    b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from "
    b"the end of the list"
)
NEGATIVE_COUNT = b"ERR COUNT can't be negative"
NEGATIVE_MAX_LENGTH = b"ERR MAXLEN can't be negative"
KEY_COUNT_NOT_POSITIVE = b"ERR numkeys should be greater than 0"
COUNT_NOT_POSITIVE = b"ERR count should be greater than 0"


# Connection
NO_PROTOCOL = b"NOPROTO unsupported protocol version"
NOT_A_PROTOCOL = b"ERR Protocol version is not an integer or out of range"
HELLO_NEEDS_AUTHENTICATION = (
    b"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option "
    b"can be used to authenticate the client and select the RESP protocol version at the same time"
)
NO_PASSWORD_IS_SET = (
    b"ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    b"is correct?"
)
BAD_CLIENT_NAME = b"ERR Client names cannot contain spaces, newlines or special characters."


def shown(word: bytes) -> bytes:
    """What an error text shows of a word that the client sent: up to a NUL, and on one line."""
    return word.split(b"\0", 1)[0].replace(b"\r", b" ").replace(b"\n", b" ")


# Unknown commands
QUOTED_BYTES = 128


def unknown_command(request: Sequence[bytes]) -> bytes:
    """``request``: the name and its arguments; of these as many are quoted as begin within 128 bytes."""
    quoted = b""
    for word in request[1:]:
        if len(quoted) >= QUOTED_BYTES:
            break
        quoted += b"'" + shown(word)[: QUOTED_BYTES - len(quoted)] + b"' "
    return b"ERR unknown command '" + shown(request[0])[:QUOTED_BYTES] + b"', with args beginning with: " + quoted


def not_of_a_log(name: bytes) -> bytes:
    """``name``: of the command, in lower case."""
    return b"ERR '%b' is no command that changes data at once, as those of a log do" % name


def unknown_subcommand(container: bytes, word: bytes) -> bytes:
    """``container``: the name as the client wrote it."""
    return b"ERR unknown subcommand '" + shown(word)[:QUOTED_BYTES] + b"'. Try " + shown(container).upper() + b" HELP."


def misused_subcommand(container: bytes, word: bytes) -> bytes:
    """For subcommands that check the number of their arguments themselves; both words as the client wrote them."""
    return (
        b"ERR unknown subcommand or wrong number of arguments for '"
        + shown(word)[:QUOTED_BYTES]
        + b"'. Try "
        + shown(container).upper()
        + b" HELP."
    )


# Clients
NO_SUCH_CLIENT = b"ERR No such client"
INVALID_CLIENT_ID = b"ERR Invalid client ID"
CLIENT_ID_NOT_POSITIVE = b"ERR client-id should be greater than 0"
BAD_PAUSE_MODE = b"ERR CLIENT PAUSE mode must be WRITE or ALL"
BAD_UNBLOCK_REASON = b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
# The journal
OUTCOME_UNKNOWN = b"UNKNOWN whether this is on disk and will last: "
OUTCOME_OPEN = OUTCOME_UNKNOWN + b"the leader of the group changed before a quorum had it"
NOT_CONFIRMED = b"TRYAGAIN the leader of the group changed before this was read"
NOT_APPLIED = b"NOTAPPLIED another leader has overruled this, which has no effect: send it again"
JOURNAL_NOT_WRITTEN = b"MISCONF Errors writing to the AOF file: "
SNAPSHOT_NOT_WRITTEN = (
    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may"
    b" modify the data set are disabled, because this instance is configured to report errors during writes if RDB"
    b" snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB"
    b" error."
)

SAVE_IN_PROGRESS = b"ERR Background save already in progress"
REWRITE_IN_PROGRESS = b"ERR Background append only file rewriting already in progress"
REWRITE_BEFORE_SAVE = (
    b"ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a"
    b" BGSAVE whenever possible."
)
NO_APPEND_ONLY_FILE = b"ERR the append-only file is off; start with --appendonly yes"

# A group and its leader
BEHIND = b"TRYAGAIN too much waits for a quorum of the group; nothing was done"
FEW_REPLICAS = b"NOREPLICAS Not enough good replicas to write."
READ_ONLY_REPLICA = b"READONLY You can't write against a read only replica."
NO_LEADER = b"CLUSTERDOWN no leader is known at the moment; nothing was done"
NO_GROUP_YET = b"ERR this server waits for a group and belongs to none yet"
ALREADY_IN_GROUP = b"ERR this server belongs to a group already"
NO_SUCH_MEMBER = b"ERR the group has no such member; see RAFT INFO"
LEARNERS_DO_NOT_LEAD = b"ERR a learner cannot lead; it votes once it has caught up"
NO_FAILOVER = b"ERR No failover in progress."
FAILOVER_TIMEOUT = b"ERR FAILOVER timeout must be greater than 0"
FAILOVER_FORCED = b"ERR FAILOVER with force option requires both a timeout and target HOST and IP."
FAILOVER_OF_REPLICA = b"ERR FAILOVER is not valid when server is a replica."
FAILOVER_WITHOUT_REPLICAS = b"ERR FAILOVER requires connected replicas."
FAILOVER_TARGET = b"ERR FAILOVER target HOST and PORT is not a replica."
STOPPED_LEADING = b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
BLOCKING_ONCE = b"ERR a blocking command cannot be executed exactly once; leave out its sequence number"
FORGOTTEN_RESULT = b"DUPLICATE this was executed before, and its reply is not kept"
NO_SESSION = b"ERR KVORUM SEQUENCE comes after KVORUM SESSION"
BAD_SESSION = b"ERR a session is named by 1 to 64 printable characters without spaces"
BAD_SEQUENCE = b"ERR a sequence number is an integer from 1 to 9223372036854775807"
NO_GROUP = b"ERR this server is no member of a group"
NOT_A_MEMBER = b"ERR only members of the group may say for whom they speak"
NOT_LEADER = b"NOTLEADER this member does not lead; nothing was done"  # among members, clients never see it
FORWARDED_OUTCOME_OPEN = b"UNKNOWN whether this was done: the connection to the leader was lost"
TRANSACTION_LOST = b"the connection to the leader was lost, and nothing of the transaction was done"


def moved(slot: int, address: str) -> bytes:
    """``address``: ``host:port`` of who executes commands on keys of this slot."""
    return b"MOVED %d %b" % (slot, address.encode())


# Transactions
EXEC_WITHOUT_MULTI = b"ERR EXEC without MULTI"
DISCARD_WITHOUT_MULTI = b"ERR DISCARD without MULTI"
NESTED_MULTI = b"ERR MULTI calls can not be nested"
WATCH_IN_MULTI = b"ERR WATCH inside MULTI is not allowed"
TRANSACTION_ABORTED = b"EXECABORT Transaction discarded because of previous errors."
ABORTED_BECAUSE_OF = b"EXECABORT Transaction discarded because of: "
NOT_IN_MULTI = b"ERR Command not allowed inside a transaction"

UNBLOCKED = b"UNBLOCKED client unblocked via CLIENT UNBLOCK"


def unknown_client_type(name: bytes) -> bytes:
    return b"ERR Unknown client type '" + shown(name) + b"'"


def no_such_user(name: bytes) -> bytes:
    return b"ERR No such user '" + shown(name) + b"'"


def unrecognized_option(name: bytes) -> bytes:
    return b"ERR Unrecognized option '" + shown(name) + b"'"


def not_a_word(option: bytes) -> bytes:
    return b"ERR " + shown(option) + b" cannot contain spaces, newlines or special characters."


# Access control
def unknown_category(name: bytes) -> bytes:
    return b"ERR Unknown category '" + shown(name)[:128] + b"'"


# COMMAND GETKEYS
INVALID_COMMAND = b"ERR Invalid command specified"
NO_KEY_ARGUMENTS = b"ERR The command has no key arguments"
INVALID_ARGUMENT_COUNT = b"ERR Invalid number of arguments specified for command"
INVALID_ARGUMENTS = b"ERR Invalid arguments specified for command"


# Server
FIRST_DATABASE_INVALID = b"ERR invalid first DB index"
SECOND_DATABASE_INVALID = b"ERR invalid second DB index"
SWAP_OUT_OF_RANGE = b"ERR DB index is out of range"
NO_SHUTDOWN = b"ERR No shutdown in progress."
SHUTDOWN_FAILED = b"ERR Errors trying to SHUTDOWN. Check logs."
SLOWLOG_COUNT = b"ERR count should be greater than or equal to -1"
NO_IDLE_TIME = (
    b"ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies "
    b"at runtime LRU and LFU data will take some time to adjust."
)
NO_FREQUENCY = (
    b"ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
    b"between policies at runtime LRU and LFU data will take some time to adjust."
)
PURGE_FAILED = b"ERR Error purging dirty pages"


def no_latency_samples(event: bytes) -> bytes:
    return b"ERR No samples available for event '" + shown(event) + b"'"


# DEBUG
OUT_OF_RANGE_DATABASE = b"ERR Out of range database"
NO_HASH_TABLE = b"ERR The value stored at the specified key is not represented using an hash table"
NOT_AN_SDS = b"ERR Not an sds encoded string."
NOT_A_LISTPACK = b"ERR Not a listpack encoded object."
NOT_A_QUICKLIST = b"ERR Not a quicklist encoded object."
PACKED_THRESHOLD = b"ERR argument must be a memory value bigger than 1 and smaller than 4gb"
RELOAD_FAILED = b"ERR Error trying to load the RDB dump"
LOG_IN_TRANSACTION = b"ERR DEBUG LOADAOF cannot be executed inside a transaction"
RELOAD_OPTIONS = b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."
NO_PERSISTENCE = b"ERR There is no data on disk: this server was given no directory"
NO_RESTART = b"ERR failed to restart the server. Check server logs."
NO_CLIENT_EVICTION = b"ERR maxmemory-clients is disabled."
NO_CLUSTER_LINKS = b"ERR Debug option only available for cluster mode enabled setup!"
PUSH_NEEDS_RESP3 = b"ERR RESP2 is not supported by this command"
BAD_PROTOCOL_TYPE = (
    b"ERR Wrong protocol type name. Please use one of the following: "
    b"string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
)
DEBUG_NOT_ALLOWED = (
    b'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local '
    b"connection, otherwise you need to set this option in the configuration file, and then restart the server."
)


def forced_rewrite_failed(reason: bytes) -> bytes:
    return b"ERR CONFIG-REWRITE-FORCE-ALL failed: " + reason


# Publishing and client-side caching
SSUBSCRIBE_IN_EXEC = b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"
CACHING_WITHOUT_TRACKING = (
    b"ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
)
CACHING_YES_WITHOUT_OPTIN = b"ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
CACHING_NO_WITHOUT_OPTOUT = b"ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
NO_REDIRECT_TARGET = b"ERR The client ID you want redirect to does not exist"
REDIRECTED_TWICE = b"ERR A client can only redirect to a single other client"
PREFIX_WITHOUT_BROADCAST = b"ERR PREFIX option requires BCAST mode to be enabled"
SWITCHED_BROADCAST = (
    b"ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a "
    b"different mode."
)
OPTIN_WITH_BROADCAST = b"ERR OPTIN and OPTOUT are not compatible with BCAST"
OPTIN_AND_OPTOUT = b"ERR You can't specify both OPTIN mode and OPTOUT mode"
SWITCHED_OPTIN = (
    b"ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a "
    b"different mode."
)


def not_for_subscribers(full_name: bytes) -> bytes:
    """A RESP2 client that listens to channels asks for something that has a reply."""
    return (
        b"ERR Can't execute '" + full_name + b"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
        b"allowed in this context"
    )


def overlapping_prefixes(prefix: bytes, other: bytes, existing: bool) -> bytes:
    """``existing``: the client has the other one already."""
    return (
        b"ERR Prefix '" + shown(prefix) + b"' overlaps with " + (b"an existing" if existing else b"another provided")
        + b" prefix '" + shown(other) + b"'. Prefixes for a single client must not overlap."
    )  # fmt: skip
