"""A collection on disk is the same after it was closed and opened again."""

import uuid

import numpy as np
import pytest

from localaws.errors import DataUnusable
from localaws.rekognition.collections import Collections
from localaws.rekognition.faces import NewFace
from localaws.rekognition.geometry import Box


def new_faces(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        NewFace(str(uuid.uuid4()), f"person-{n}", Box(0.1, 0.2, 0.3, n / count), 99.5, vector)
        for n, vector in enumerate(vectors)
    ]


def add(collection, faces):
    return collection.write(lambda db: collection.faces.add(db, faces))


def test_faces_users_and_tags_are_read_back(tmp_path):
    collections = Collections(tmp_path / "faces.db")
    club = collections.create("club", {"team": "blue"})
    collections.create("other", {})
    new = new_faces(300)
    faces = add(club, new)
    club.write(lambda db: club.faces.remove(db, faces[100:200]))
    club.write(lambda db: club.users.create(db, "ada"))
    ids = [face.face_id for face in faces[:10]]
    club.write(lambda db: club.users.associate(db, "ada", ids, threshold=0))
    found = club.faces.search(new[5].vector, 0, 50), club.users.search(new[5].vector, 0, 50)
    listed = club.faces.page(0, 1000)
    collections.close()

    again = Collections(tmp_path / "faces.db")
    club = again.get("club")

    assert [collection.collection_id for collection in again.page(0, 10)] == ["club", "other"]
    assert club.tags() == {"team": "blue"}
    assert len(club.faces) == 200
    assert club.faces.page(0, 1000) == listed
    assert [face.user_id for face in listed[:11]] == ["ada"] * 10 + [None]
    assert club.faces.search(new[5].vector, 0, 50) == found[0]
    (user,) = club.users.search(new[5].vector, 0, 50)
    assert user.user == found[1][0].user
    assert user.similarity == pytest.approx(found[1][0].similarity, abs=1e-4)
    assert add(club, new[:3]) == listed[:3]  # recognised as the same faces
    assert add(club, new_faces(1, seed=1))[0].key > faces[-1].key


def test_a_face_that_is_not_as_it_was_written_is_an_error(tmp_path):
    path = tmp_path / "faces.db"
    collections = Collections(path)
    faces = new_faces(50)
    add(collections.create("club", {}), faces)
    collections.close()
    content = path.read_bytes()
    where = content.index(faces[20].vector.tobytes())
    path.write_bytes(content[:where] + b"?" + content[where + 1 :])

    with pytest.raises(DataUnusable, match=r"faces\.db is damaged \(face 21\)"):
        Collections(path)
