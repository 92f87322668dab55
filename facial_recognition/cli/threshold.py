"""Find the threshold for a wanted false accept rate, on the operator's own photographs.

The photographs are indexed in a temporary collection, and each face is searched for among all
others. So there are two calls to Rekognition per photograph, whatever the number of pairs.
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
from facial_recognition.cli.reporting import Failure, Progress, readable
from facial_recognition.cli.stage import OpenStage

FEW_PEOPLE = 20
"""Results of fewer people are chance: they do not tell how much other people look alike."""
MAX_PHOTOGRAPHS = 4096
"""SearchFaces returns no more faces at once."""


class Recommendation(Struct, frozen=True, rename="camel"):
    """A measurement, and the threshold that follows from it."""

    people: int
    least_people: int
    """Fewer people give no recommendation."""
    photographs: int
    """Photographs that show a face."""
    wanted: float
    """Wanted false accept rate."""
    confidence: float
    """Of each bound: a true rate lies above ``low``, or below ``high``, with this probability."""
    impostor_design_effect: float
    genuine_design_effect: float
    recommended: ErrorRates | None
    """None where there are too few people, or too few photographs for the wanted rate."""
    lowest_rate: float
    """The lowest false accept rate that these photographs could show."""
    at: ErrorRates
    """The error rates at the threshold that the operator asks for."""
    failed: list[Failure]


def measure(
    stage: OpenStage, folder: Path, *, rate: float, progress: Progress
) -> tuple[list[str], Similarities, list[Failure]]:
    """Measure the similarities of all pairs of photographs in a folder.

    Args:
        stage: the stage whose account and region are used.
        folder: contains a folder per person.
        rate: photographs indexed, and then faces searched for, per second.
        progress: shows the operator the progress.

    Returns:
        The name of the person on each photograph with a face, the similarities, and the photographs
        that failed.

    Raises:
        CannotDo: there are too few people, or too many photographs.
    """
    files = [path for path in sorted(folder.glob("*/*")) if path.is_file() and _is_visible(path)]
    if len({path.parent for path in files}) < 2:
        raise CannotDo(f"{folder} must contain a folder each for at least two people.", "no_photos")
    if len(files) > MAX_PHOTOGRAPHS:
        raise CannotDo(
            f"{folder} contains {len(files)} files; at most {MAX_PHOTOGRAPHS} can be compared."
        )
    failed: list[Failure] = []
    face_ids: dict[str, Path] = {}
    with _temporary_collection(stage) as collection:

        def index(path: Path) -> str | Problem:
            try:
                return _index(collection, path)
            except Problem as problem:
                return problem

        progress.start("indexing", len(files))
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

        progress.start("comparing", len(order))
        with closing(PacedExecutor(rate, pauses=RETRY_PAUSES).run(search, order)) as searches:
            for face_id, matches in searches:
                for other, similarity in matches:
                    matrix[rows[face_id], rows[other]] = similarity
                progress.advance(1)
    people = [face_ids[face_id].parent.name for face_id in order]
    numbers = np.unique(people, return_inverse=True)[1]
    # A search for either face of a pair should give the same similarity. If not, the mean counts.
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
    """Recommend a threshold, from a measurement of :func:`measure`.

    Args:
        people: the name of the person on each photograph.
        similarities: of all pairs of photographs.
        failed: the photographs that failed.
        wanted: the wanted false accept rate.
        at: another threshold, whose error rates are reported too.
    """
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
def _temporary_collection(stage: OpenStage) -> Iterator[str]:
    """Make a collection, and delete it at the end, even after an error."""
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
            # A unique id, so that the same file twice is two photographs.
            ExternalImageId=uuid4().hex,
            MaxFaces=1,
            QualityFilter="NONE",  # as /verify does
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNREADABLE:
            raise NoFace("Rekognition cannot read the photograph.") from error
        raise
    if not answer["FaceRecords"]:
        raise NoFace("The photograph shows no face.")
    return answer["FaceRecords"][0]["Face"]["FaceId"]


_UNREADABLE = frozenset(
    {"InvalidImageFormatException", "ImageTooLargeException", "InvalidParameterException"}
)


def _search(collection: str, face_id: str) -> list[tuple[str, float]]:
    """Return the ids of all other faces, and their similarities to a face."""
    answer: Any = clients.rekognition().search_faces(
        CollectionId=collection, FaceId=face_id, FaceMatchThreshold=0, MaxFaces=MAX_PHOTOGRAPHS
    )
    return [(match["Face"]["FaceId"], match["Similarity"]) for match in answer["FaceMatches"]]


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and not path.parent.name.startswith(".")
