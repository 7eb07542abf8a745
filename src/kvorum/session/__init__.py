"""One client: its state, and the pipeline that its commands pass."""
