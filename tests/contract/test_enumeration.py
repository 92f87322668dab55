"""In a stage that hides who is registered, callers cannot find it out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

import app
from chalicelib import clients, verification
from chalicelib.errors import FaceRegisteredToAnotherPerson, MalformedRequest, PersonUnknown
from chalicelib.faces import Faces
from chalicelib.images import from_bytes
from chalicelib.messages import RegisterRequest, VerifyRequest
from chalicelib.records import Records
from chalicelib.registration import register
from chalicelib.settings import Settings
from chalicelib.storage import Photographs
from sample_photographs import photograph
from tests.support.service import BUCKET, COLLECTION, TABLE, Service

OPEN = Settings()
HIDING = Settings.from_environment({"HIDE_UNKNOWN_PERSONS": "true"})


@dataclass
class Stage:
    """The parts of the application, and the calls to AWS that they make."""

    records: Records = field(default_factory=lambda: Records(clients.dynamodb, TABLE))
    faces: Faces = field(default_factory=lambda: Faces(clients.rekognition, COLLECTION))
    photographs: Photographs = field(default_factory=lambda: Photographs(clients.s3, BUCKET))
    calls: list[str] = field(default_factory=list)

    def verify(self, settings: Settings, person_id: str, **fields: Any) -> tuple[Any, list[str]]:
        """Verify Obama as a person; return the response and the calls to AWS."""
        self.calls.clear()
        asked = VerifyRequest(
            image=from_bytes(photograph("obama2.jpg")), person_id=person_id, **fields
        )
        answer = verification.verify(asked, self.records, self.faces, settings)
        return msgspec.to_builtins(answer), list(self.calls)


@pytest.fixture
def stage(service: Service) -> Iterator[Stage]:
    """A stage with two people."""
    for person, image in (("obama", "obama.jpg"), ("biden", "biden.jpg")):
        service.register(photograph(image), name=person.title(), personId=person)
    service.settle()
    stage = Stage()

    def note(model: Any, **_: Any) -> None:
        stage.calls.append(model.name)

    for client in (clients.dynamodb(), clients.rekognition()):
        client.meta.events.register("before-call", note, unique_id="enumeration")
    yield stage
    for client in (clients.dynamodb(), clients.rekognition()):
        client.meta.events.unregister("before-call", note, unique_id="enumeration")


def test_by_default_an_unknown_person_is_reported(stage: Stage) -> None:
    with pytest.raises(PersonUnknown):
        stage.verify(OPEN, "nobody")


def test_when_hidden_an_unknown_person_is_answered_like_a_wrong_face(stage: Stage) -> None:
    assert stage.verify(HIDING, "nobody") == stage.verify(HIDING, "biden")
    assert stage.verify(HIDING, "biden")[1] == ["SearchFacesByImage"]


def test_when_hidden_the_right_face_is_still_recognised(stage: Stage) -> None:
    assert stage.verify(HIDING, "obama", threshold=95)[0]["verified"] is True


def test_when_hidden_the_threshold_cannot_be_lowered(stage: Stage) -> None:
    listed = stage.verify(OPEN, "biden", threshold=0)[0]["matches"]
    with pytest.raises(MalformedRequest, match="threshold"):
        stage.verify(HIDING, "biden", threshold=0)

    assert [match["personId"] for match in listed] == ["biden"]


@pytest.mark.parametrize(("settings", "named"), [(OPEN, "obama"), (HIDING, None)])
def test_whose_face_it_is(stage: Stage, settings: Settings, named: str | None) -> None:
    asked = RegisterRequest(name="Eve", image=from_bytes(photograph("obama.jpg")))
    with pytest.raises(FaceRegisteredToAnotherPerson) as refused:
        register(asked, stage.photographs, stage.records, stage.faces, settings)

    assert refused.value.person_id == named


@pytest.mark.usefixtures("stage")
def test_create_index_lists_nobody(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    (key, *_) = service.objects()
    monkeypatch.setattr(app, "settings", HIDING)

    for asked in (
        {},
        {"repair": True},
        {"personId": "obama"},
        {"personId": "nobody"},
        {"imageKey": "faces/obama/1.jpg"},
    ):
        answer = service.post("create-index", asked)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    # Who has registered it has to know when it is indexed.
    assert service.post("create-index", {"imageKey": key}).json()["unchanged"] == 1
