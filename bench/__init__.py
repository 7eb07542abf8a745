"""Measures kvorum beside redis-server."""
