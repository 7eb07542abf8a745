"""Whole groups of servers in one process, with time, network, disks and chance of our own making.

Each node is a real server on the plain twins (``KVORUM_PLAIN=1``): reactor, sessions, commands, keyspace, journal, votes, core
and driver are those that run in production. In the place of the world outside stand

- ``scheduler``: what happens next, and the loop of each node; its clock is the only time there is;
- ``clock``: a node's clocks, which run at their own speed, and jump;
- ``disk``: files in memory; a crash leaves what a real disk may leave;
- ``network``: the links between nodes and from clients to nodes: delay, loss, repetition, other orders, cuts, also one-way;
- ``node``: a server, its crashes and starts;
- ``clients``: what they ask and see, as a history;
- ``invariants``: what must hold after every step;
- ``simulation``: the whole, with what goes wrong in it, from one seed.

Everything that is left to chance comes from one random generator, and nothing depends on the order of a set or on real
time, so the same seed gives the same run, event by event. ``python -m kvorum.testing.simulation 1-100`` runs seeds, as does
``make sim SEEDS=1-100``.
"""
