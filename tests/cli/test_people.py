import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image
from PIL.Image import Transpose

from sample_photographs import as_jpeg, landscape, opened, photograph
from tests.cli.conftest import Faces
from tests.support.service import TABLE, Service


@pytest.fixture
def obama(service: Service) -> Service:
    """The service with one person, and a photograph without a face."""
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama", consent="v1")
    service.upload("faces/obama/sky.jpg", landscape(), Metadata={"name": "Barack%20Obama"})
    service.settle()
    return service


def test_everybody_is_listed(faces: Faces, obama: Service) -> None:
    (person,) = faces("people", "--json").json

    assert person["registeredAt"]
    del person["registeredAt"]
    assert person == {
        "personId": "obama",
        "name": "Barack Obama",
        "photographs": 2,
        "indexed": 1,
    }
    assert "Barack Obama" in faces("people").out


def test_it_is_shown_when_a_person_was_last_verified(faces: Faces, obama: Service) -> None:
    assert faces("show", "obama", "--json").json["verifiedOn"] is None
    (face,) = (i for i, item in obama.items().items() if "confidence" in item)
    obama.dynamodb.update_item(
        TableName=TABLE,
        Key={"faceId": {"S": face}},
        UpdateExpression="SET verifiedOn = :day",
        ExpressionAttributeValues={":day": {"S": "2026-11-24"}},
    )

    assert faces("show", "obama", "--json").json["verifiedOn"] == "2026-11-24"
    assert "last verified on 2026-11-24" in faces("show", "obama").out


def test_a_person_is_shown(faces: Faces, obama: Service) -> None:
    shown = faces("show", "obama", "--json").json

    assert shown["name"] == "Barack Obama"
    by_status = {p["status"]: p for p in shown["photographs"]}
    assert by_status["indexed"]["consent"] == "v1"
    assert by_status["indexed"]["faceIds"] == obama.faces()
    assert by_status["rejected"]["reason"] == "no_face"
    assert [event["event"] for event in shown["trail"]] == ["registered"]
    assert "no_face" in faces("show", "obama").out


def test_answers_fit_a_terminal(
    faces: Faces, obama: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facial_recognition.cli.display._UNLIMITED", 80)
    (face,) = obama.faces()
    path = tmp_path / "somebody.jpg"
    path.write_bytes(photograph("obama2.jpg"))

    listed, shown = faces("people").out, faces("show", "obama").out
    trail, verified = faces("audit").out, faces("verify", path).out

    for out in (listed, shown, trail, verified):
        assert max(map(len, out.splitlines())) <= 80
    today = datetime.now(UTC).date().isoformat()
    for out in (listed, shown, trail):
        assert re.search(rf"{today} \d\d:\d\d\b", out)
    assert f"  face {face}\n" in shown
    assert "faces/obama" not in shown
    assert "  consent v1\n" in shown


def test_a_person_without_photographs_was_not_forgotten(faces: Faces, obama: Service) -> None:
    for key in obama.objects():
        obama.remove(key)

    removed = faces("show", "obama").out
    obama.upload("faces/obama/a.jpg", photograph("obama.jpg"))
    faces("forget", "obama", "--yes")
    forgotten = faces("show", "obama").out

    assert removed.startswith("obama  (no photographs now)\n")
    assert forgotten.startswith("obama  (forgotten)\n")


def test_a_person_may_be_named_by_the_folder(
    faces: Faces, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "people" / "Barack Obama" / "1.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(photograph("obama.jpg"))
    faces("register", tmp_path / "people")
    service.settle()

    assert faces("show", "Barack Obama", "--json").json["name"] == "Barack Obama"
    assert faces("verify", path, "--person", "Barack Obama").code == 0
    assert len(faces("audit", "Barack Obama", "--json").json) == 1
    assert faces("forget", "Barack Obama", "--yes").code == 0
    assert not service.objects()


def test_an_unknown_person_is_an_error(faces: Faces) -> None:
    said = faces("show", "nobody", "--json")

    assert (said.code, said.error["code"]) == (2, "person_unknown")
    assert "faces people lists the ids" in said.error["detail"]


@pytest.mark.parametrize(
    ("name", "more", "code"),
    [
        ("obama2.jpg", (), 0),
        ("biden.jpg", (), 1),
        ("obama2.jpg", ("--threshold", 100), 1),
        ("obama2.jpg", ("--person", "obama"), 0),
        ("biden.jpg", ("--person", "obama"), 1),
    ],
)
def test_a_photograph_is_verified(
    faces: Faces,
    obama: Service,
    tmp_path: Path,
    *,
    name: str,
    more: tuple[object, ...],
    code: int,
) -> None:
    path = tmp_path / "somebody.jpg"
    path.write_bytes(photograph(name))

    said = faces("verify", path, *more, "--json")

    assert said.code == code
    assert said.json["verified"] is (code == 0)
    assert ("obama" if code == 0 else "nobody") in faces("verify", path, *more).out


def test_a_photograph_too_large_for_a_call_is_made_smaller(
    faces: Faces, obama: Service, tmp_path: Path
) -> None:
    path = tmp_path / "large.jpg"
    sideways = opened(photograph("obama.jpg")).resize((3000, 4000)).transpose(Transpose.ROTATE_90)
    path.write_bytes(as_jpeg(sideways, quality=100, subsampling=0, exif=rotated(6)))
    assert path.stat().st_size > 4 * 1024 * 1024

    said = faces("verify", path, "--json")

    assert (said.code, said.json["person"]["personId"]) == (0, "obama"), said


def rotated(orientation: int) -> Image.Exif:
    """Return the metadata of a camera that was held sideways."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def test_a_photograph_without_a_face_is_an_error(
    faces: Faces, obama: Service, tmp_path: Path
) -> None:
    path = tmp_path / "sky.jpg"
    path.write_bytes(landscape())

    said = faces("verify", path)

    assert said.code == 2
    assert said.err == "error: The photograph shows no face.\n"
