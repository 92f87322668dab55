"""The ``faces`` command, for the operators of the service."""
