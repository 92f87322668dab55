"""Layers for requests of all services: control, scripted faults, permissions, persistence."""
