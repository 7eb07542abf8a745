"""Compiles the module: with maxmemory reached it runs once per write."""
