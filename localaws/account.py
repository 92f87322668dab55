"""The one account of the embedded AWS."""

from moto.core.models import DEFAULT_ACCOUNT_ID

REGION = "us-east-1"
ACCOUNT_ID = DEFAULT_ACCOUNT_ID
ACCESS_KEY_ID = SECRET_ACCESS_KEY = "local"  # noqa: S105 - opens nothing but this process
