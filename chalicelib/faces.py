"""The faces: Amazon Rekognition, and the collection that holds what it remembers of them."""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib import telemetry
from chalicelib.errors import (
    ImageTooLarge,
    ImageTooSmall,
    NoFace,
    PoorQuality,
    UnsupportedImage,
)
from chalicelib.messages import BoundingBox, Face, Pose, Quality, SearchedFace

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_rekognition.type_defs import (
        BoundingBoxTypeDef,
        FaceDetailTypeDef,
        S3ObjectTypeDef,
        UnindexedFaceTypeDef,
    )

MAX_DELETED_AT_ONCE = 4096

_REASONS = {
    "EXTREME_POSE": "turned away too far",
    "LOW_BRIGHTNESS": "too dark",
    "LOW_SHARPNESS": "too blurred",
    "LOW_CONFIDENCE": "not clearly a face",
    "SMALL_BOUNDING_BOX": "too small",
    "LOW_FACE_QUALITY": "not clear enough",
}


class IndexedFace(Struct, frozen=True):
    """A face that the collection has remembered."""

    face_id: str
    face: Face
    face_model_version: str


class SimilarFace(Struct, frozen=True):
    """A face of the collection that resembles the one looked for; similarity 0 to 100."""

    face_id: str
    external_image_id: str
    similarity: float

    @property
    def person_id(self) -> str:
        """The person whose photograph this face was indexed from."""
        return whose(self.external_image_id)


class Search(Struct, frozen=True):
    """The face looked for, and what resembles it, best first."""

    face: SearchedFace
    similar: list[SimilarFace]


def external_image_id(person_id: str, image_key: str) -> str:
    """Name a photograph to Rekognition: unique, and in the few characters that it allows."""
    return f"{person_id}:{sha256(image_key.encode()).hexdigest()[:32]}"


def whose(external_image_id: str) -> str:
    """Say whose photograph Rekognition calls so."""
    return external_image_id.partition(":")[0]


class Faces:
    """One Rekognition collection.

    Every method raises :class:`botocore.exceptions.ClientError` for what is not the
    photograph's fault: throttling, a missing collection or a missing permission.
    """

    def __init__(self, client: "Callable[[], RekognitionClient]", collection_id: str) -> None:
        """Take a function that gives the client, so that it is made only when needed."""
        self._client = client
        self.collection_id = collection_id

    def create_collection(self) -> None:
        """Make the collection unless it is there."""
        client = self._client()
        with suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_collection(CollectionId=self.collection_id)

    def detect(self, image: bytes) -> list[Face]:
        """Find the faces in a photograph, the largest first.

        Raises:
            UnsupportedImage, ImageTooLarge, ImageTooSmall: Rekognition cannot read it.
        """
        try:
            found = self._client().detect_faces(Image={"Bytes": image})
        except ClientError as error:
            raise _as_image_problem(error) or error from error
        faces = [_face(detail) for detail in found["FaceDetails"]]
        telemetry.current().faces = len(faces)
        return sorted(faces, key=lambda face: -face.bounding_box.width * face.bounding_box.height)

    def search(self, image: bytes, threshold: float, limit: int) -> Search:
        """Look in the collection for the largest face of a photograph.

        Args:
            image: a JPEG or PNG of at most 5 MB.
            threshold: similarity, 0 to 100, from which a face counts.
            limit: how many faces to give back, at most 4096.

        Raises:
            NoFace: the photograph shows none.
            UnsupportedImage, ImageTooLarge, ImageTooSmall: Rekognition cannot read it.
        """
        try:
            found = self._client().search_faces_by_image(
                CollectionId=self.collection_id,
                Image={"Bytes": image},
                FaceMatchThreshold=threshold,
                MaxFaces=limit,
                QualityFilter="NONE",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidParameterException":
                # Rekognition's word for it: the image was measured before it came here.
                raise NoFace("The photograph shows no face.") from error
            raise _as_image_problem(error) or error from error
        similar = [
            SimilarFace(
                match["Face"]["FaceId"],
                match["Face"].get("ExternalImageId", ""),
                match["Similarity"],
            )
            for match in found["FaceMatches"]
        ]
        box = _bounding_box(found["SearchedFaceBoundingBox"])
        return Search(SearchedFace(box, found["SearchedFaceConfidence"]), similar)

    def index(
        self, bucket: str, image_key: str, version_id: str | None, person_id: str
    ) -> IndexedFace:
        """Remember the largest face of a photograph in S3, and no other.

        Indexing the same photograph again gives the same face back. Without a version, Rekognition
        reads what is stored when it comes to it.

        Raises:
            NoFace, PoorQuality: its largest face could not be recognised later, or it shows none.
            UnsupportedImage, ImageTooLarge, ImageTooSmall: Rekognition cannot read it.
        """
        stored: S3ObjectTypeDef = {"Bucket": bucket, "Name": image_key}
        if version_id is not None:
            stored["Version"] = version_id
        try:
            answer = self._client().index_faces(
                CollectionId=self.collection_id,
                Image={"S3Object": stored},
                ExternalImageId=external_image_id(person_id, image_key),
                MaxFaces=1,
                QualityFilter="AUTO",
            )
        except ClientError as error:
            raise _as_image_problem(error) or error from error
        unindexed = answer.get("UnindexedFaces", [])
        telemetry.current().faces = len(answer["FaceRecords"]) + len(unindexed)
        if not answer["FaceRecords"]:
            raise _why_not(unindexed)
        record = answer["FaceRecords"][0]
        indexed = IndexedFace(
            record["Face"]["FaceId"],
            _face(record["FaceDetail"]),
            answer["FaceModelVersion"],
        )
        # Rekognition leaves out poor faces before it takes the largest: that may be a bystander.
        area = _area(record["FaceDetail"])
        larger = [face for face in unindexed if _area(face["FaceDetail"]) > area]
        if larger:
            self.forget([indexed.face_id])
            raise _why_not(larger)
        return indexed

    def forget(self, face_ids: list[str]) -> None:
        """Delete faces from the collection; one that is not there is no error."""
        for start in range(0, len(face_ids), MAX_DELETED_AT_ONCE):
            chunk = face_ids[start : start + MAX_DELETED_AT_ONCE]
            self._client().delete_faces(CollectionId=self.collection_id, FaceIds=chunk)

    def present(self, face_ids: list[str]) -> set[str]:
        """Return those of some faces that are in the collection."""
        if not face_ids:
            return set()
        answer = self._client().list_faces(CollectionId=self.collection_id, FaceIds=face_ids)
        return {face["FaceId"] for face in answer["Faces"]}

    def page(self, token: str | None, limit: int) -> tuple[list[str], str | None]:
        """List faces, from the token of the page before on; None begins and ends."""
        request: Any = {} if token is None else {"NextToken": token}
        answer = self._client().list_faces(
            CollectionId=self.collection_id, MaxResults=limit, **request
        )
        return [face["FaceId"] for face in answer["Faces"]], answer.get("NextToken")

    def of_persons(self, person_ids: Collection[str]) -> Iterator[tuple[str, str]]:
        """Walk the whole collection for the faces that were indexed from persons' photographs.

        Yields:
            The id of each, and its photograph's ``ExternalImageId``.
        """
        for face_id, external in self._all():
            if whose(external) in person_ids:
                yield face_id, external

    def of_photograph(self, image_key: str, person_id: str) -> list[str]:
        """Walk the whole collection for the faces that were indexed from a photograph."""
        wanted = external_image_id(person_id, image_key)
        return [face_id for face_id, external in self._all() if external == wanted]

    def _all(self) -> Iterator[tuple[str, str]]:
        pages = self._client().get_paginator("list_faces")
        for page in pages.paginate(CollectionId=self.collection_id):
            for face in page["Faces"]:
                yield face["FaceId"], face.get("ExternalImageId", "")


def _as_image_problem(error: ClientError) -> Exception | None:
    """Translate what Rekognition says of an image; None for what is not the image's fault."""
    code = error.response["Error"]["Code"]
    if code == "InvalidImageFormatException":
        return UnsupportedImage("The image is damaged, or neither a JPEG nor a PNG.")
    if code == "ImageTooLargeException":
        return ImageTooLarge("The image has more bytes or pixels than Rekognition reads.")
    if code == "InvalidParameterException":
        return ImageTooSmall("The image is smaller than 80x80 pixels.")
    return None


def _why_not(unindexed: "list[UnindexedFaceTypeDef]") -> Exception:
    if not unindexed:
        return NoFace("The photograph shows no face.")
    largest = max(unindexed, key=lambda face: _area(face["FaceDetail"]))
    reasons = [_REASONS[r] for r in largest.get("Reasons", []) if r in _REASONS]
    return PoorQuality(f"The face is {' and '.join(reasons) or 'not clear enough'}.")


def _bounding_box(box: "BoundingBoxTypeDef") -> BoundingBox:
    return BoundingBox(box["Left"], box["Top"], box["Width"], box["Height"])


def _area(detail: "FaceDetailTypeDef") -> float:
    return detail["BoundingBox"]["Width"] * detail["BoundingBox"]["Height"]


def _face(detail: "FaceDetailTypeDef") -> Face:
    quality: Any = detail["Quality"]
    pose: Any = detail["Pose"]
    return Face(
        bounding_box=_bounding_box(detail["BoundingBox"]),
        confidence=detail["Confidence"],
        quality=Quality(quality["Brightness"], quality["Sharpness"]),
        pose=Pose(pose["Roll"], pose["Yaw"], pose["Pitch"]),
    )
