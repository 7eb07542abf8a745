"""Raft as a state machine without sockets, clocks, files or threads, shaped like the ``RawNode`` of etcd's Raft.

It is told what happened (a message came, a tick passed, a write is on disk) and says what is to be done. With the same
calls and the same random numbers it does the same on every machine. The papers: "In Search of an Understandable
Consensus Algorithm" (Ongaro, Ousterhout), and Ongaro's thesis for membership, transfers, reads and the pre-vote.

Where things are: ``raw_node`` is what a caller uses; ``raft`` the state machine, with one module for each role
(``follower``, ``candidate``, ``leader``) and for ``election`` and ``replication``; ``log``, ``unstable``, ``storage``
the log; ``tracker``, ``progress``, ``inflights``, ``quorum`` what a leader knows of the others; ``changer``,
``conf_change`` membership; ``read_only`` linearizable reads; ``entries``, ``messages``, ``ready``, ``status``,
``config`` what passes in and out.

**The contract of the caller.**

1.  *One at a time.* All calls come from one thread. Nothing that was handed in or out is changed afterwards, neither
    messages nor entries nor lists.
2.  *Ids.* A node's id is a number between 1 and 2**63 - 1 that is never used for another node, not even for the same
    machine with an empty disk: such a node would not know what it has promised.
3.  *Ready.* After any other call, ``has_ready`` may be true. Then ``ready`` gives out what is to be done, exactly once,
    and all of it must be done. Several calls may come before one ``ready``: that is how batches form.
4.  *Writing, sending, applying* in the order of the Readys, and within one:

    a. Write ``entries``, ``hard_state`` and ``snapshot`` if there are any. An entry replaces whatever the log held at
       its index and behind it; a snapshot replaces the whole log. A snapshot, and with ``must_sync`` everything, is on
       disk and safe from a power cut before anything else happens; the truncation of what is replaced is on disk before
       what replaces it. Otherwise only the commit index has changed, and losing that is harmless, but no commit index
       is on disk before the entries it speaks of. A hard state is never torn: it is the old one or the new one.
    b. Send ``messages``. A ``Message`` may get lost, come twice or late or in another order, but not come changed, nor
       from another sender than it says.
    c. Apply ``snapshot``, then ``committed_entries``, in order and each once. For an entry that changes the membership,
       call ``apply_conf_change(entry)`` as it is applied; or do not, if the state machine refuses it, which all members
       must then do alike.
    d. Call ``advance``. No other ``ready`` before that.

5.  *Asynchronous storage writes* (``async_storage_writes``) take the place of 4. A Ready then holds only messages:

    a. One to ``LOCAL_APPEND_THREAD`` bears what is to be written. Once it is on disk as in 4a, deliver its
       ``responses``: those to the own node through ``step``, the others through the network. Without responses it need
       not be on disk.
    b. One to ``LOCAL_APPLY_THREAD`` bears entries to apply as in 4c; then deliver its ``responses``.
    c. All other messages may be sent at once, before anything is written. So the disks of a group work at the same
       time.
    d. Messages to the same thread are worked off in order, none is left out, and each thread may run behind. Their
       responses are not lost, either, unless the process dies. A snapshot in a) is applied by then, too. Entries that
       the apply thread gets to after that, and which the snapshot contains, are skipped, but answered. ``advance`` is
       never called. Many messages to the append thread may share one fsync.

6.  *Storage* shows exactly what has been written under 4a or 5a, at once: neither entries that are not handed out yet
    nor those that have been replaced. Entries are dropped (compacted) only if they are applied and a snapshot covers
    them, and the term of the last one dropped stays known.
7.  *Time.* Call ``tick`` at regular intervals, also when nothing else happens. An election timeout should be at least
    ten heartbeats, a tick longer than a round trip. After a pause tick as often as the pause lasted, at the latest
    before the next ``read_index`` if reads are lease based: a lease ends by ticks alone.
8.  *Starting.* A new group: every first member starts with a storage that holds no entries, the same snapshot of index
    1 and term 1 with the members as ``conf_state``, and the hard state of term 1, commit 1 and no vote. A node that
    joins: an empty storage; it learns everything from the leader, after it was added by a change of membership. A
    restart: the storage as it was, and as ``applied`` the last entry that the state machine really holds.
9.  *Proposals* may be lost without notice. ``propose`` says which entry a proposal became; it is committed if the entry
    that is applied at that index has that term, and is lost for certain if one with another term is.
    ``accepts_proposals`` asks beforehand. On followers proposals are forwarded unless that is switched off; then nobody
    is told what becomes of them.
10. *Reads.* ``read_index(context)`` gives a ``ReadState`` with the context in a later Ready; when everything up to its
    index is applied, reads that arrived before the call may be answered. Contexts are never used twice in the life of a
    node, also not after a restart, since a late answer would pass for the new one's. One call per turn serves any
    number of reads. Reads are lost without notice if the leader changes or a message is lost: ask again with another
    context after a while, or when ``soft_state`` changes.
11. *Membership.* One change at a time; what is proposed meanwhile becomes an empty entry. Every ``ConfState`` that
    ``apply_conf_change`` returns goes into the snapshots made from then on. Add a node as a learner first: a voter with
    an empty log counts from its first moment. A member that was removed may not learn of it; the caller switches it
    off.
12. *Snapshots.* A message ``SNAPSHOT`` need not bear the state itself: ``data`` is the caller's, and may name what is
    streamed beside it. It is handed to ``step`` of the receiver when all of it has arrived and been checked. The sender
    calls ``report_snapshot`` if it was received or failed, without which nothing more is sent to that follower.
13. *The transport* calls ``report_unreachable`` when it could not deliver something, and keeps the order of messages
    between two nodes if it can. It checks who a sender is, and that numbers lie within 0 to 2**63 - 1.
14. *Errors.* A ``RaftError`` means that one message or proposal was refused, and nothing else. After an
    ``InvariantError``, an ``AssertionError``, or whatever the storage raised, the node must stop: its memory and its
    disk may not agree any more.
15. *Leases.* With ``LEASE_BASED`` all members have that option, ``check_quorum``, and clocks whose speed differs by
    less than ``max_clock_drift_ticks`` in an election timeout. ``campaign`` and ``forget_leader`` then do nothing while
    there is a leader.
"""
