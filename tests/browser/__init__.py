"""Tests of the pages in Chromium, against the whole local service."""
