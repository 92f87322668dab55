"""Which threshold gives the false accept rate that is wanted, on the operator's own photographs.

The photographs are indexed in a collection made for this and deleted afterwards, and each face is
searched among all others: two calls to Rekognition a photograph, whatever the number of pairs.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib import clients
from chalicelib.errors import NoFace, Problem
from chalicelib.pacing import RETRY_PAUSES, PacedExecutor
from facial_recognition.cli import photographs
from facial_recognition.cli.error_rates import CONFIDENCE, ErrorRates, Floats, Similarities
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.registering import Failure, Progress, readable
from facial_recognition.cli.stage import Stage

FEW_PEOPLE = 20
"""Fewer show by chance what they show: no statistics tell how much others resemble each other."""
MOST = 4096
"""Photographs: SearchFaces gives back no more faces at once."""


class Recommendation(Struct, frozen=True, rename="camel"):
    """What was measured, and which threshold follows from it."""

    people: int
    least_people: int
    """With fewer, nothing is recommended."""
    photographs: int
    """That show a face."""
    wanted: float
    """False accept rate."""
    confidence: float
    """With which the true rates lie above ``low``, and with which below ``high``."""
    impostor_design_effect: float
    genuine_design_effect: float
    recommended: ErrorRates | None
    """None where there are too few people, or too few photographs for the rate wanted."""
    lowest_rate: float
    """The lowest false accept rate that could be shown with these photographs."""
    at: ErrorRates
    """At the threshold asked about."""
    failed: list[Failure]


def measure(
    stage: Stage, folder: Path, *, rate: float, progress: Progress
) -> tuple[list[str], Similarities, list[Failure]]:
    """Measure the similarities of all pairs of photographs in a folder.

    Args:
        stage: whose Rekognition measures.
        folder: holds a folder per person.
        rate: photographs indexed, and faces searched, per second.
        progress: told how far it has come.

    Returns:
        The name of the person on each photograph, the similarities, and what shows no face.

    Raises:
        CannotDo: there are too few people, or too many photographs.
    """
    files = [path for path in sorted(folder.glob("*/*")) if path.is_file() and _is_shown(path)]
    if len({path.parent for path in files}) < 2:
        raise CannotDo(f"{folder} must hold a folder each for at least two people.", "no_photos")
    if len(files) > MOST:
        raise CannotDo(f"{folder} holds {len(files)} files; at most {MOST} can be compared.")
    failed: list[Failure] = []
    face_ids: dict[str, Path] = {}
    with _temporary_collection(stage) as collection:

        def index(path: Path) -> str | Problem:
            try:
                return _index(collection, path)
            except Problem as problem:
                return problem

        progress.begin("indexing", len(files))
        with closing(PacedExecutor(rate, pauses=RETRY_PAUSES).run(index, files)) as outcomes:
            for path, outcome in outcomes:
                if isinstance(outcome, Problem):
                    failed.append(Failure(readable(path), outcome.code, outcome.detail))
                else:
                    face_ids[outcome] = path
                progress.advance(1)

        order = sorted(face_ids, key=lambda face_id: face_ids[face_id])
        rows = {face_id: row for row, face_id in enumerate(order)}
        matrix: Floats = np.zeros((len(order), len(order)))

        def search(face_id: str) -> list[tuple[str, float]]:
            return _search(collection, face_id)

        progress.begin("comparing", len(order))
        with closing(PacedExecutor(rate, pauses=RETRY_PAUSES).run(search, order)) as searches:
            for face_id, matches in searches:
                for other, similarity in matches:
                    matrix[rows[face_id], rows[other]] = similarity
                progress.advance(1)
    people = [face_ids[face_id].parent.name for face_id in order]
    numbers = np.unique(people, return_inverse=True)[1]
    # Which of two is searched for should not matter; where it does, the mean of both is taken.
    similarities = Similarities(numbers, (matrix + matrix.T) / 2)
    return people, similarities, sorted(failed, key=lambda failure: failure.photograph)


def recommend(
    people: list[str],
    similarities: Similarities,
    failed: list[Failure],
    *,
    wanted: float,
    at: float,
) -> Recommendation:
    """Recommend a threshold for a wanted false accept rate, and say what happens at another."""
    count = len(set(people))
    threshold = similarities.threshold_for(wanted) if count >= FEW_PEOPLE else None
    return Recommendation(
        people=count,
        least_people=FEW_PEOPLE,
        photographs=len(people),
        wanted=wanted,
        confidence=CONFIDENCE,
        impostor_design_effect=similarities.impostor_design_effect,
        genuine_design_effect=similarities.genuine_design_effect,
        recommended=None if threshold is None else similarities.at(threshold),
        lowest_rate=similarities.lowest_rate,
        at=similarities.at(at),
        failed=failed,
    )


@contextmanager
def _temporary_collection(stage: Stage) -> Iterator[str]:
    """Make a collection, and delete it whatever happens."""
    name = f"{stage.settings.faces_collection[:200]}-threshold-{uuid4().hex[:12]}"
    rekognition = clients.rekognition()
    rekognition.create_collection(CollectionId=name)
    try:
        yield name
    finally:
        rekognition.delete_collection(CollectionId=name)


def _index(collection: str, path: Path) -> str:
    """Index the largest face of a photograph, and return its id."""
    photograph = photographs.read(path)
    try:
        answer = clients.rekognition().index_faces(
            CollectionId=collection,
            Image={"Bytes": photograph.data},
            # The same file twice is two photographs, here.
            ExternalImageId=uuid4().hex,
            MaxFaces=1,
            QualityFilter="NONE",  # as a verify searches
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNREADABLE:
            raise NoFace("Rekognition cannot read it.") from error
        raise
    if not answer["FaceRecords"]:
        raise NoFace("The photograph shows no face.")
    return answer["FaceRecords"][0]["Face"]["FaceId"]


_UNREADABLE = frozenset(
    {"InvalidImageFormatException", "ImageTooLargeException", "InvalidParameterException"}
)


def _search(collection: str, face_id: str) -> list[tuple[str, float]]:
    """Compare a face with all others: their ids and similarities."""
    answer: Any = clients.rekognition().search_faces(
        CollectionId=collection, FaceId=face_id, FaceMatchThreshold=0, MaxFaces=MOST
    )
    return [(match["Face"]["FaceId"], match["Similarity"]) for match in answer["FaceMatches"]]


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".") and not path.parent.name.startswith(".")
