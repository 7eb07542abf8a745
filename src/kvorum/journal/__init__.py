"""The one log: the effects of writes, in order."""
