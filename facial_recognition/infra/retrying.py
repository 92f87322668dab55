"""Try calls again that AWS refuses for a while, because it does not see new resources at once."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError

DELAYS = (1, 2, 4, 8, 15, 15, 15, 15, 15)
"""Seconds to wait before each further try: a minute and a half together."""

Result = TypeVar("Result")


def retry_while(call: Callable[[], Result], is_temporary: Callable[[Any], bool]) -> Result:
    """Call AWS, and try again while it answers with a temporary error.

    Args:
        call: makes the call.
        is_temporary: returns whether an error ends by itself. It gets the part ``Error`` of
            ``ClientError.response``.

    Raises:
        botocore.exceptions.ClientError: the error is another one, or did not end in time.
    """
    for delay in DELAYS:
        try:
            return call()
        except ClientError as error:
            if not is_temporary(error.response["Error"]):
                raise
        time.sleep(delay)
    return call()
