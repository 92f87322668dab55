"""Accuracy on a larger set: index one photograph of each person, and search with the others."""

import pytest

from sample_photographs import larger_set

THRESHOLD = 95


@pytest.fixture(scope="module")
def people():
    folders = sorted(path for path in larger_set("lfw-dev").iterdir() if path.is_dir())
    return {
        folder.name: [photo.read_bytes() for photo in sorted(folder.iterdir())]
        for folder in folders
    }


def test_people_are_recognised_and_strangers_are_not(rekognition, collection, people):
    for name, (first, *others) in people.items():
        if others:
            index(rekognition, collection, name, first)

    known = [
        (name, identify(rekognition, collection, photo))
        for name, (_, *others) in people.items()
        for photo in others
    ]
    strangers = [
        identify(rekognition, collection, photos[0])
        for photos in people.values()
        if len(photos) == 1
    ]

    assert {found for name, found in known if found != name} <= {None}
    assert sum(name == found for name, found in known) >= 0.97 * len(known)
    assert set(strangers) == {None}


def test_no_ordinary_photograph_is_refused(rekognition, collection, people):
    for name, photos in people.items():
        for photo in photos:
            assert index(rekognition, collection, name, photo)["FaceRecords"], name


def index(rekognition, collection, name, photo):
    return rekognition.index_faces(
        CollectionId=collection, Image={"Bytes": photo}, ExternalImageId=name, MaxFaces=1
    )


def identify(rekognition, collection, photo):
    answer = rekognition.search_faces_by_image(
        CollectionId=collection,
        Image={"Bytes": photo},
        FaceMatchThreshold=THRESHOLD,
        MaxFaces=1,
    )
    matches = answer["FaceMatches"]
    return matches[0]["Face"]["ExternalImageId"] if matches else None
