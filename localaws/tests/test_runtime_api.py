"""Only the process of a function gets its events from the Runtime API."""

import http.client
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from localaws.services.lambda_.runtime_api import Invocation, RuntimeApi

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux only")
NEXT = "/2018-06-01/runtime/invocation/next"
ASK = f"""
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=10)
connection.request("GET", "{NEXT}")
print(connection.getresponse().status)
"""


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    """A Runtime API with an event."""
    api = RuntimeApi()
    api.give(Invocation("id", b"{}", "arn", 0.0))
    yield api
    api.close()


def status(api: RuntimeApi, **headers: str) -> int:
    connection = http.client.HTTPConnection(api.address, timeout=10)
    connection.request("GET", NEXT, headers={n.replace("_", "-"): v for n, v in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_a_web_page_gets_no_event(api: RuntimeApi) -> None:
    assert status(api, Origin="http://evil.example") == 403
    assert status(api, Sec_Fetch_Site="cross-site") == 403
    assert status(api, Host="evil.example") == 403
    assert status(api) == 200


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root can be another user"
)
def test_another_user_gets_no_event(api: RuntimeApi) -> None:
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", ASK]
    done = subprocess.run(
        [*nobody, api.address], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.stdout.strip() == "403", done.stderr
    assert status(api) == 200
