"""Functions that were deployed: run from their own zip by AWS's own runtime client.

Each runs in processes that have its code and boto3 and nothing else, with the credentials of its
role, its environment, its limits of time and memory. An environment takes one event at a time and
stays for the next, until code or configuration change. What is printed goes to CloudWatch Logs.
"""

from localaws.services.lambda_.deployed import (
    AsynchronousInvocation,
    DeployedFunctions,
    TooManyRequests,
)
from localaws.services.lambda_.runtime_api import FunctionError

__all__ = ["AsynchronousInvocation", "DeployedFunctions", "FunctionError", "TooManyRequests"]
