import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facial_recognition.cli.registering import person_id_of
from localaws.middleware.faults import Fault
from sample_photographs import as_jpeg, group, opened, photograph, resized
from tests.cli.conftest import Faces
from tests.support.paths import ROOT
from tests.support.service import BUCKET, Service, without_events


def test_a_folder_is_registered_and_failures_are_listed(
    faces: Faces, service: Service, folder: Path
) -> None:
    said = faces("register", folder, "--consent", "2026-01", "--json")

    assert said.code == 1
    assert said.json["photographs"] == 6
    assert said.json["registered"] == 3
    assert said.json["waiting"] == 0
    failed = {Path(f["photograph"]).name: f["code"] for f in said.json["failed"]}
    assert failed == {
        "sky.jpg": "no_face",
        "notes.txt": "unsupported_image",
        "loose.jpg": "no_person",
    }
    assert service.whose(photograph("obama3.jpg")) == "obama"
    biden = service.verify(photograph("biden.jpg")).json()["person"]
    assert biden == {"personId": person_id_of("Joe Biden"), "name": "Joe Biden"}
    records = [item for item in service.items().values() if "status" in item]
    assert {record["consent"] for record in records} == {"2026-01"}
    assert all(record["caller"].startswith("arn:aws:") for record in records)
    service.settle()
    service.assert_consistent()


def test_registering_again_changes_nothing(faces: Faces, service: Service, folder: Path) -> None:
    faces("register", folder, "--consent", "1")
    service.settle()
    before = service.items()

    said = faces("register", folder, "--consent", "1", "--json")

    assert (said.json["registered"], said.json["unchanged"]) == (0, 3)
    assert service.versions() == 3
    assert service.items() == before
    assert faces("register", folder).out.splitlines()[-1].startswith("6 photographs: 0 registered")


def test_another_consent_is_recorded(faces: Faces, service: Service, folder: Path) -> None:
    faces("register", folder, "--consent", "1")
    service.settle()

    said = faces("register", folder, "--consent", "2", "--json")

    service.settle()
    assert said.json["unchanged"] == 0
    records = [item for item in service.items().values() if "status" in item]
    assert {record["consent"] for record in records} == {"2"}
    assert len(service.faces()) == 3
    service.assert_consistent()


def test_an_uploaded_photograph_is_not_stored_twice(
    faces: Faces, service: Service, folder: Path
) -> None:
    service.upload("faces/obama/one.jpg", photograph("obama.jpg"))

    said = faces("register", folder, "--json")
    service.settle()
    before = service.objects()
    agreed = faces("register", folder, "--consent", "v1", "--json")
    service.settle()

    assert (said.json["registered"], said.json["unchanged"]) == (2, 1)
    assert "faces/obama/one.jpg" in before
    assert len(before) == 3
    assert (agreed.json["registered"], service.objects()) == (3, before)
    assert service.photograph("faces/obama/one.jpg")["consent"] == "v1"
    service.assert_consistent()


def test_the_largest_of_several_faces_is_taken_if_wanted(
    faces: Faces, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "obama").mkdir()
    both = group("obama.jpg", "biden.jpg", heights=(900, 700))
    (tmp_path / "obama" / "both.jpg").write_bytes(both)

    refused = faces("register", tmp_path, "--json")
    taken = faces("register", tmp_path, "--largest", "--json")

    assert [f["code"] for f in refused.json["failed"]] == ["several_faces"]
    assert (taken.code, taken.json["registered"]) == (0, 1)
    assert service.whose(photograph("obama2.jpg")) == "obama"


def test_failures_say_what_to_do(
    faces: Faces, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDE_UNKNOWN_PERSONS", "1")  # from callers, not from operators
    service.upload("faces/obama/1.jpg", photograph("obama.jpg"))
    files = {"barack/1.jpg": photograph("obama.jpg"), "both/1.jpg": group("obama.jpg", "biden.jpg")}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)

    said = faces("register", tmp_path, "--json")

    another, several = said.json["failed"]
    assert (another["personId"], another["detail"]) == ("obama", "The face is registered to obama.")
    assert "personId" not in several
    assert "--largest" in several["detail"]


def test_file_names_that_are_not_text_fail_alone(
    faces: Faces, service: Service, tmp_path: Path
) -> None:
    for name in (b"obama/1.jpg", b"obama/Bad\xff\xfename.jpg", b"Bad\xff\xfename/1.jpg"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(photograph("obama.jpg") if name == b"obama/1.jpg" else b"")

    said = faces("register", tmp_path, "--json")

    assert (said.code, said.json["registered"]) == (1, 1)
    assert {Path(f["photograph"]).name: f["code"] for f in said.json["failed"]} == {
        "Bad\ufffd\ufffdname": "malformed_request",
        "Bad\ufffd\ufffdname.jpg": "unsupported_image",
    }
    assert "Bad\ufffd\ufffdname.jpg" in faces("register", tmp_path).out
    wrong = faces("register", os.fsdecode(b"Bad\xff"), "--json")
    assert (wrong.code, wrong.error["code"]) == (2, "usage")


def test_unreadable_files_and_folders_are_listed(
    faces: Faces, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("empty", "obama/locked", "obama/.hidden", "elsewhere"):
        (tmp_path / "people" / name).mkdir(parents=True)
    (tmp_path / "people" / "obama" / "1.jpg").write_bytes(photograph("obama.jpg"))
    (tmp_path / "people" / "obama" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "people" / "elsewhere" / "album").symlink_to(tmp_path)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "locked":  # root may run this test, and may read any folder
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)

    said = faces("register", tmp_path / "people", "--json")

    assert (said.code, said.json["registered"]) == (1, 1)
    assert {Path(f["photograph"]).name: f["code"] for f in said.json["failed"]} == {
        "album": "unreadable",
        "empty": "no_photographs",
        "gone.jpg": "unreadable",
        "locked": "unreadable",
    }


def test_the_same_photograph_in_two_folders_is_registered_once(
    faces: Faces, service: Service, tmp_path: Path
) -> None:
    for name in ("a/one.jpg", "a/copy.jpg", "b/one.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photograph("obama.jpg"))

    said = faces("register", tmp_path, "--json")

    assert [Path(f["photograph"]).parent.name for f in said.json["failed"]] == ["b"]
    assert said.json["failed"][0]["code"] == "face_registered_to_another_person"
    assert (said.json["registered"], said.json["unchanged"]) == (1, 1)


def test_a_photograph_too_large_for_a_request_goes_straight_to_s3(
    faces: Faces, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "obama").mkdir()
    large = as_jpeg(opened(resized(photograph("obama.jpg"), 4000)), quality=100, subsampling=0)
    assert len(large) > 4 * 1024 * 1024
    (tmp_path / "obama" / "large.jpg").write_bytes(large)

    said = faces("register", tmp_path, "--json")

    assert (said.code, said.json["registered"]) == (0, 1), said
    assert service.whose(photograph("obama2.jpg")) == "obama"


def test_a_file_too_large_for_rekognition_is_listed(
    faces: Faces, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "obama").mkdir()
    (tmp_path / "obama" / "huge.jpg").write_bytes(photograph("obama.jpg") + bytes(15 * 1024 * 1024))

    (failed,) = faces("register", tmp_path, "--json").json["failed"]

    assert failed["code"] == "image_too_large"
    assert failed["detail"] == "The file has more than 15 MiB."


def test_the_same_command_continues_after_ctrl_c(
    faces: Faces, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "obama").mkdir()
    sizes = (400, 420, 440, 460, 480, 500)
    for size in sizes:
        content = resized(photograph("obama.jpg"), size)
        (tmp_path / "obama" / f"{size}.jpg").write_bytes(content)
    slowly = ("register", str(tmp_path), "--rate", "1", "--json")
    # The background jobs of a shell ignore Ctrl-C. With a handler here, the process does not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "facial_recognition.cli", *slowly],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    try:
        while not service.objects():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    report = json.loads(out)
    assert report["interrupted"]
    assert report["left"] > 0
    assert report["registered"] + report["waiting"] + report["left"] == len(sizes)
    assert len(service.objects()) < len(sizes)

    said = faces("register", tmp_path, "--json")

    assert (said.code, said.json["waiting"]) == (0, 0)
    assert said.json["registered"] + said.json["unchanged"] == len(sizes)
    service.settle()
    assert service.versions() == len(service.faces()) == len(sizes)
    service.assert_consistent()


def test_a_face_that_was_lost_comes_back_where_no_photographs_are_kept(
    faces: Faces, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEP_PHOTOGRAPHS", "0")
    (tmp_path / "obama").mkdir()
    (tmp_path / "obama" / "1.jpg").write_bytes(photograph("obama.jpg"))
    with without_events(service):  # the handlers run with other settings
        faces("register", tmp_path, "--wait", 0)
        faces("check", "--repair")
        assert len(service.faces()) == 1
        service.lose_face()
        lost = faces("check", "--repair", "--json")
        again = faces("register", tmp_path, "--wait", 0, "--json")
        faces("check", "--repair")

    assert (lost.code, again.json["waiting"]) == (1, 1)
    assert [f["code"] for f in lost.json["repaired"]["failed"]] == ["photograph_not_kept"]
    assert len(service.faces()) == 1


def test_throttled_calls_are_retried(faces: Faces, service: Service, folder: Path) -> None:
    # boto3 makes three tries; the command makes the fourth.
    service.aws.faults.script(
        *(Fault("DetectFaces", "throttle", call=call) for call in range(1, 13))
    )

    said = faces("register", folder, "--json")

    assert service.aws.faults.met["throttle"] == 12
    service.aws.faults.clear()
    assert said.json["registered"] == 3


def test_a_folder_without_photographs_is_an_error(faces: Faces, tmp_path: Path) -> None:
    said = faces("register", tmp_path, "--json")

    assert said.code == 2
    assert said.error["code"] == "no_photos"


def test_consent_is_a_version_and_no_text(faces: Faces, folder: Path, service: Service) -> None:
    said = faces("register", folder, "--consent", "I agree", "--json")

    assert said.error["code"] == "malformed_request"
    assert not service.s3.list_objects_v2(Bucket=BUCKET).get("Contents")
