"""C types for ``pubsub.py``: with Call known, its annotations are enough for direct calls and Spans."""
from kvorum.commands.call cimport Call
from kvorum.pubsub.channels cimport PubSub
