"""The AWS CLI drives the main operations."""

import json
import os
import subprocess
import sys
from pathlib import Path

import awscli
import pytest
from awscli.clidriver import create_clidriver

from sample_photographs import photograph

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    # awscli sets it on import, and other tests may have removed it.
    "AWS_DATA_PATH": str(Path(awscli.__file__).parent / "data"),
}


@pytest.fixture
def aws(endpoint, monkeypatch, capsys):
    """Run a command of the AWS CLI on Rekognition in this process, and return its answer."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        status = create_clidriver().main(["--endpoint-url", endpoint, "rekognition", *arguments])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return json.loads(printed.out) if printed.out else None

    return run


@pytest.fixture
def image(tmp_path):
    """Write a photograph to a file, and return the CLI's name for its content."""

    def write(name):
        (tmp_path / name).write_bytes(photograph(name))
        return f"fileb://{tmp_path / name}"

    return write


def test_a_person_is_indexed_made_a_user_and_found(aws, image):
    in_people = ("--collection-id", "people")
    aws("create-collection", *in_people, "--tags", "team=blue")
    indexed = aws("index-faces", *in_people, "--image-bytes", image("obama.jpg"))
    face_id = indexed["FaceRecords"][0]["Face"]["FaceId"]
    aws("create-user", *in_people, "--user-id", "obama")
    aws("associate-faces", *in_people, "--user-id", "obama", "--face-ids", face_id)

    faces = aws("search-faces-by-image", *in_people, "--image-bytes", image("obama2.jpg"))
    users = aws("search-users-by-image", *in_people, "--image-bytes", image("obama2.jpg"))
    listed = aws("list-faces", *in_people, "--user-id", "obama")
    arn = aws("describe-collection", *in_people)["CollectionARN"]

    assert faces["FaceMatches"][0]["Face"]["FaceId"] == face_id
    assert users["UserMatches"][0]["User"] == {"UserId": "obama", "UserStatus": "ACTIVE"}
    assert [face["FaceId"] for face in listed["Faces"]] == [face_id]
    assert aws("list-tags-for-resource", "--resource-arn", arn)["Tags"] == {"team": "blue"}
    refused = aws("delete-faces", *in_people, "--face-ids", face_id)["UnsuccessfulFaceDeletions"]
    assert refused[0]["Reasons"] == ["ASSOCIATED_TO_AN_EXISTING_USER"]


def test_an_error_reads_as_it_does_on_aws(endpoint):
    command = [sys.executable, "-m", "awscli", "--endpoint-url", endpoint, "rekognition"]
    done = subprocess.run(
        [*command, "list-faces", "--collection-id", "nowhere"],
        capture_output=True,
        text=True,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )

    assert done.returncode != 0
    assert done.stderr.strip().endswith(
        "An error occurred (ResourceNotFoundException) when calling the ListFaces operation: "
        "The collection id: nowhere does not exist"
    )
