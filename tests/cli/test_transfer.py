import json
import stat
import time
from pathlib import Path

import pytest

from facial_recognition.local.project import Project, set_up
from sample_photographs import photograph
from tests.cli.conftest import Faces
from tests.support.service import BUCKET, Service


@pytest.fixture
def registered(service: Service) -> Service:
    """The service with two people, and a file that is not a photograph."""
    name = {"name": "Barack%20Obama", "consent": "v1"}
    service.upload("faces/obama/a b+ü.jpg", photograph("obama.jpg"), Metadata=name)
    service.upload("faces/biden/../b.jpg", photograph("biden.jpg"))
    service.upload("faces/biden/notes.txt", b"notes")
    return service


def test_people_are_moved_to_another_stage(
    faces: Faces, registered: Service, project: Project, tmp_path: Path
) -> None:
    exported = faces("export", tmp_path / "out", "--json")
    registered.aws.reset()
    set_up(project)
    imported = faces("import", tmp_path / "out", "--json")

    assert exported.json["photographs"] == exported.json["people"] == 2
    assert exported.json["rejected"] == 1
    assert (imported.code, imported.json["indexed"]) == (0, 2), imported
    registered.settle()
    registered.assert_consistent()
    person = registered.verify(photograph("obama2.jpg")).json()["person"]
    assert person == {"personId": "obama", "name": "Barack Obama"}
    shown = faces("show", "obama", "--json").json
    assert shown["photographs"][0]["consent"] == "v1"
    # The trail was imported, and continues.
    assert [event["event"] for event in shown["trail"]] == ["registered", "registered"]


def test_both_can_be_done_again(faces: Faces, registered: Service, tmp_path: Path) -> None:
    out = tmp_path / "out"
    faces("export", out)
    manifest = (out / "manifest.jsonl").read_bytes()
    (out / "manifest.jsonl").write_bytes(
        manifest.splitlines()[0] + b'\n{"key": "fa'
    )  # as a stopped export leaves it
    before = registered.versions()

    again = faces("export", out, "--json")
    imported = faces("import", out, "--json")

    assert (again.json["photographs"], again.json["unchanged"]) == (2, 1)
    assert (out / "manifest.jsonl").read_bytes() == manifest
    assert imported.code == 0
    assert (imported.json["indexed"], imported.json["unchanged"]) == (0, 2)
    assert registered.versions() == before


def test_removed_photographs_leave_the_folder(
    faces: Faces, registered: Service, tmp_path: Path
) -> None:
    faces("export", tmp_path / "out")
    registered.remove("faces/obama/a b+ü.jpg")

    faces("export", tmp_path / "out")

    assert len(list((tmp_path / "out" / "photographs").iterdir())) == 1
    assert "obama" not in (tmp_path / "out" / "manifest.jsonl").read_text()


def test_only_its_owner_can_read_it(faces: Faces, registered: Service, tmp_path: Path) -> None:
    faces("export", tmp_path / "out")

    paths = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len(paths) == 6
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in paths)


def test_damage_and_forgery_are_seen(faces: Faces, registered: Service, tmp_path: Path) -> None:
    out = tmp_path / "out"
    faces("export", out)
    (line, _) = (out / "manifest.jsonl").read_text().splitlines()
    photographs = out / "photographs"
    (photographs / json.loads(line)["sha256"]).write_bytes(photograph("obama3.jpg"))
    registered.s3.delete_object(Bucket=BUCKET, Key=json.loads(line)["key"])

    damaged = faces("import", out, "--json")
    forged = {**json.loads(line), "sha256": "../../secret"}
    (out / "manifest.jsonl").write_text(json.dumps(forged))
    refused = faces("import", out, "--json")

    assert [failure["code"] for failure in damaged.json["failed"]] == ["damaged"]
    assert (refused.code, refused.error["code"]) == (2, "damaged")


def test_missing_files_and_damaged_lines_fail_alone(
    faces: Faces, registered: Service, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    faces("export", out)
    manifest = out / "manifest.jsonl"
    biden, obama = (json.loads(line) for line in manifest.read_text().splitlines())
    (out / "photographs" / biden["sha256"]).unlink()
    manifest.write_text(f'{json.dumps(biden)}\n{{"key": "fa\n{json.dumps(obama)}\n{{"key": "fa')
    for key in (biden["key"], obama["key"]):
        registered.remove(key)

    said = faces("import", out, "--json")

    assert (said.code, said.json["photographs"], said.json["indexed"]) == (1, 3, 1)
    assert [(f["photograph"], f["code"]) for f in said.json["failed"]] == [
        ("manifest.jsonl:2", "damaged"),
        (biden["key"], "unreadable"),
    ]


def test_an_empty_stage_can_be_moved(faces: Faces, service: Service, tmp_path: Path) -> None:
    exported = faces("export", tmp_path / "out", "--json")
    imported = faces("import", tmp_path / "out", "--json")

    assert (exported.code, exported.json["photographs"]) == (0, 0)
    assert (imported.code, imported.json["photographs"]) == (0, 0)


def test_stored_photographs_do_not_count_towards_the_rate(
    faces: Faces, registered: Service, tmp_path: Path
) -> None:
    faces("export", tmp_path / "out")
    started = time.monotonic()

    said = faces("import", tmp_path / "out", "--rate", "0.1", "--json")

    assert said.json["unchanged"] == 2
    assert time.monotonic() - started < 9


@pytest.mark.parametrize(
    ("command", "call"), [("export", "Photographs.read"), ("import", "Photographs.put")]
)
def test_ctrl_c_ends_with_a_report(
    faces: Faces,
    registered: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    command: str,
    call: str,
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    if command == "import":
        faces("export", out)
        registered.remove("faces/obama/a b+ü.jpg")
    monkeypatch.setattr(f"chalicelib.storage.{call}", interrupt)

    said, as_json = faces(command, out), faces(command, out, "--json")

    assert (said.code, as_json.code) == (130, 130)
    assert "Interrupted. The same command continues from here." in said.out
    assert as_json.json["interrupted"]


def test_other_folders_are_left_alone(faces: Faces, registered: Service, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")

    assert faces("export", tmp_path, "--json").error["code"] == "not_empty"
    assert faces("import", tmp_path, "--json").error["code"] == "no_export"
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
