"""No log holds anything of a person, at any level."""

import base64
import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from sample_photographs import landscape, photograph
from tests.support.service import Service

NAME = "Zaphod Beeblebrox \N{PILE OF POO}"
PERSON = "zaphod-0815"


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged while Lambda's log level is DEBUG."""
    own = logging.getLogger("facial-recognition")
    before = own.level
    own.setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    own.setLevel(before)


def test_no_log_holds_a_name_a_face_or_an_image(
    service: Service, everything: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    obama, biden = photograph("obama.jpg"), photograph("biden.jpg")
    encoded = base64.b64encode(obama).decode()
    answers = [
        service.register(obama, name=NAME, personId=PERSON),
        service.post(
            "register",
            data=biden,
            params={"name": NAME},
            headers={"Content-Type": "image/jpeg"},
        ),
        service.post("register", data={"name": NAME}, files={"image": obama}),
        service.register(None, name=NAME, personId=PERSON),
        service.register(landscape(), name=NAME, personId=PERSON),
        service.register(obama, name=NAME, personId="somebody-else"),
        service.post("register", {"name": NAME, "surname": NAME}),
        service.post("register", {"name": NAME, "image": encoded[:-100]}),
        service.verify(photograph("obama2.jpg")),
        service.verify(photograph("obama2.jpg"), personId=PERSON),
        service.verify(obama, personId="nobody"),
        service.post("verify", params={"name": NAME}, headers={"Content-Type": "text/plain"}),
    ]
    service.settle()
    known = service.verify(obama, personId=PERSON).json()
    (match,) = known["matches"]
    answers.append(service.post("create-index", {"personId": PERSON}))
    answers.append(service.post("create-index", {"imageKey": match["imageKey"]}))
    service.rekognition.delete_collection(CollectionId="face-collection")
    answers.append(service.verify(obama, personId=PERSON))

    # The records of the main thread come from this test's own client.
    records = [r for r in everything.records if r.threadName != "MainThread"]
    out, err = capfd.readouterr()
    written = "\n".join([*map(str, (vars(r) for r in records)), out, err])

    for answer in answers:
        assert answer.headers["X-Request-Id"] in written
    for secret in (
        NAME,
        NAME.split(maxsplit=1)[0],
        quote(NAME),
        PERSON,
        encoded[:60],
        base64.b64encode(biden).decode()[:60],
        repr(obama[:30])[2:-1],
        match["faceId"],
        match["imageKey"],
        str(known["face"]["boundingBox"]["left"]),
    ):
        assert secret not in written, f"{secret} is in a log"


def test_the_loggers_of_the_aws_clients_stay_quiet_at_level_debug() -> None:
    import chalicelib.clients  # noqa: F401

    for name in ("boto3", "botocore", "botocore.endpoint", "s3transfer", "urllib3.connectionpool"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
