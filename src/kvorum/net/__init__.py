"""Sockets: listeners and the reactor."""
