"""The ``kvorum`` command."""
