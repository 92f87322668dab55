"""The policies of the deployed functions; run as a module, this prints them as a table."""

import json
from typing import Any

from chalicelib.settings import Settings
from facial_recognition.infra.policies import ResourceNames, with_names_of
from localaws.services.iam.grants import as_table
from tests.deploy.deployment import FUNCTION, ROOT

FILES = {
    FUNCTION: "policy-prod.json",
    f"{FUNCTION}-index_photograph": "policy-prod-index_photograph.json",
    f"{FUNCTION}-unindex_photograph": "policy-prod-unindex_photograph.json",
    f"{FUNCTION}-forget_unverified": "policy-prod-forget_unverified.json",
}
"""By the functions that have them."""


def committed(function: str) -> Any:
    """Read the policy of a function as it is in the repository, whose names a deploy changes."""
    document = json.loads((ROOT / ".chalice" / FILES[function]).read_text())
    return with_names_of(document, ResourceNames(Settings(), "*", "*"), function)


if __name__ == "__main__":
    print(as_table([(function, committed(function)) for function in FILES]))
