"""Measurements against peers and limits; each is a script that anyone can run."""
