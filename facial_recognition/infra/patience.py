"""AWS needs a while to see everywhere what was made: what it refuses until then is tried again."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError

DELAYS = (1, 2, 4, 8, 15, 15, 15, 15, 15)
"""Seconds to wait before each further try: a minute and a half together."""

Result = TypeVar("Result")


def patiently(call: Callable[[], Result], is_too_early: Callable[[Any], bool]) -> Result:
    """Call AWS, again and again as long as it is too early for it.

    Args:
        call: what to do.
        is_too_early: says of an error of AWS, as botocore has it in ``ClientError.response``,
            whether it ends by itself.

    Raises:
        botocore.exceptions.ClientError: it is another error, or has not ended in time.
    """
    for delay in DELAYS:
        try:
            return call()
        except ClientError as error:
            if not is_too_early(error.response["Error"]):
                raise
        time.sleep(delay)
    return call()
