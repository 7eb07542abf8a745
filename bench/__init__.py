"""Measures kvorum beside redis-server: ``make bench``, or ``.venv/bin/python -m bench --help``.

Both servers are real processes, started as a user starts them, without persistence where that is not what is measured.
Each measurement is repeated in rounds that alternate between the two (A B, then B A, …), so that a slow minute of the
machine hits both alike. Shown are medians, and how far the rounds spread. Where the machine has two cores or more, the
server has one of them for itself, and the client another; both servers are treated the same.

The package stands outside ``src``: it needs a source tree, Debian's redis-server and a plotting library.

    figures     medians, spreads, ratios and goals; pure
    load        redis-benchmark: which tests a server can take, what it prints
    contenders  the two servers, and what they cost: CPU time and memory of a process
    loader      fills a server with keys, watches its latency meanwhile, listens to what is published
    parts       what is measured: pipeline, latency, memory, growth
    types       and types: the commands of all data types, blocked clients, subscribers, small collections
    persistence and durability: throughput with a log, latency and memory during snapshots, loading
    group       and group: three servers beside etcd, one beside none, failover, catching up
    etcd        etcd's servers and load generator
    clients     many clients that note each round trip with its time
    disk        how long the disk takes to make something safe, and how often that is asked of it
    report      terminal, JSON, docs/bench.md and the README
    plot        the picture
"""
