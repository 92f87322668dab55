"""Tests of data on disk, and of long runs."""
