"""The pages, driven in Chromium against the whole local service."""
