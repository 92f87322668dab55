"""services/s3."""
