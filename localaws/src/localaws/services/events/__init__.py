"""services/events."""
