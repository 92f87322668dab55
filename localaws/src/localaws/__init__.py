"""The embedded AWS: what development and tests talk to instead of an AWS account."""
