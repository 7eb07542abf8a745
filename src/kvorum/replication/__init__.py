"""Keeping several nodes the same: Raft groups over the one log."""
