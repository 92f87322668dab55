"""The exit codes of the command line."""

DONE = 0
"""All is well."""
FAILED = 1
"""The answer is no, or part of the work failed."""
ERROR = 2
"""The command could not do its work."""
INTERRUPTED = 130
"""Ctrl-C, as shells have it."""
