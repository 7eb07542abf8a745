"""Raft: the consensus core, which does no input or output, and what stands around it."""
