"""The command line of the people who run the service."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
