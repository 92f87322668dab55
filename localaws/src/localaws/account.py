"""The one account of the embedded AWS: its id and region."""

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
"""moto's account, ``moto.core.models.DEFAULT_ACCOUNT_ID``."""


def arn(service: str, resource: str) -> str:
    """Return the ARN of a resource of this account and region."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{resource}"
