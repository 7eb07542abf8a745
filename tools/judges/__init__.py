"""Test suites that nobody on this project wrote, run against kvorum: ``make judges``.

    suite       a checkout named by        what it is
    tcl         REDIS_SUITE                redis/redis at tag 7.0.15: its Tcl tests, against an external server
    redis-py    REDIS_PY_SUITE             redis/redis-py at the version that requirements/judges.txt names
    tair        TAIR_SUITE                 tair-opensource/compatibility-test-suite-for-redis

A suite without a checkout is left out, and said to be. What counts are the tests that a real redis-server 7.0 passes:
the baseline. It is made by running the suite against redis-server and kept in ``.cache/judges``, or taken from the folder that
JUDGES_BASELINE names (a file ``tcl.txt`` and so on, lines ``unit<TAB>test``).

Two lists per suite stand in ``lists``, lines ``unit<TAB>test<TAB>reason``. Tests of ``*.needs-later.txt`` fail until the feature
that their line names is there; those of ``*.skip.txt`` are not run, for the reason that their line gives. Everything else of
the baseline must pass, and what is listed as needing something must not: so the lists only ever get shorter.

    lists       the lists, and what a run says beside them; pure
    tcl, redis_py, tair    one suite each: how it is run, and how its output is read
    report      docs/judges.md
    cli         the command
"""
