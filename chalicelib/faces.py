"""The faces: Amazon Rekognition, and the collection of the faces that are indexed."""

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
from chalicelib.models import BoundingBox, Face, Pose, Quality, SearchedFace

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_rekognition.type_defs import (
        BoundingBoxTypeDef,
        FaceDetailTypeDef,
        S3ObjectTypeDef,
        UnindexedFaceTypeDef,
    )

PAGE = 4096
"""Faces in one page of a listing: the most that Rekognition allows."""
_MAX_DELETED = 4096  # faces in one DeleteFaces

_REASONS = {
    "EXTREME_POSE": "turned away too far",
    "LOW_BRIGHTNESS": "too dark",
    "LOW_SHARPNESS": "too blurred",
    "LOW_CONFIDENCE": "not clearly a face",
    "SMALL_BOUNDING_BOX": "too small",
    "LOW_FACE_QUALITY": "not clear enough",
}


class IndexedFace(Struct, frozen=True):
    """A face that was added to the collection."""

    face_id: str
    face: Face
    face_model_version: str


class SimilarFace(Struct, frozen=True):
    """A face of the collection that is similar to the searched one; similarity 0 to 100."""

    face_id: str
    external_image_id: str
    similarity: float

    @property
    def person_id(self) -> str:
        """The person whose photograph this face was indexed from."""
        return person_of_image_id(self.external_image_id)


class Search(Struct, frozen=True):
    """The searched face and the faces similar to it, the most similar first."""

    face: SearchedFace
    similar: list[SimilarFace]


def external_image_id(person_id: str, image_key: str) -> str:
    """Return the ``ExternalImageId`` of a photograph.

    It is unique, and it holds only characters that Rekognition allows there.
    """
    return f"{person_id}:{sha256(image_key.encode()).hexdigest()[:32]}"


def person_of_image_id(external_image_id: str) -> str:
    """Return the id of the person whose photograph has an ``ExternalImageId``."""
    return external_image_id.partition(":")[0]


class Faces:
    """One Rekognition collection.

    Methods raise :class:`botocore.exceptions.ClientError` for errors that the photograph did not
    cause: throttling, a missing collection or a missing permission.
    """

    def __init__(
        self,
        client: "Callable[[], RekognitionClient]",
        collection_id: str,
        client_for_changes: "Callable[[], RekognitionClient] | None" = None,
    ) -> None:
        """Use a collection.

        Args:
            client: returns the boto3 client; called on first use.
            collection_id: id of the collection.
            client_for_changes: the same, for calls that change the collection, if they are to be
                retried in another way.
        """
        self._client = client
        self._client_for_changes = client_for_changes or client
        self.collection_id = collection_id

    def create_collection(self) -> None:
        """Create the collection unless it exists."""
        client = self._client()
        with suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_collection(CollectionId=self.collection_id)

    def detect(self, image: bytes) -> list[Face]:
        """Return the faces in a photograph, the largest first.

        Raises:
            UnsupportedImage, ImageTooLarge, ImageTooSmall: Rekognition cannot read the image.
        """
        try:
            found = self._client().detect_faces(Image={"Bytes": image})
        except ClientError as error:
            raise _as_image_problem(error) or error from error
        faces = [_face(detail) for detail in found["FaceDetails"]]
        telemetry.current().faces = len(faces)
        return sorted(faces, key=lambda face: -face.bounding_box.width * face.bounding_box.height)

    def search(self, image: bytes, threshold: float, limit: int) -> Search:
        """Search the collection for the largest face of a photograph.

        Args:
            image: a JPEG or PNG of at most 5 MB.
            threshold: lowest similarity to return, 0 to 100.
            limit: most faces to return, up to 4096.

        Raises:
            NoFace: the photograph shows no face.
            UnsupportedImage, ImageTooLarge, ImageTooSmall: Rekognition cannot read the image.
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
                # Rekognition reports a missing face this way. It reports images that are too small
                # the same way, but the request was read before, and its image is large enough.
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
        """Add the largest face of a photograph in S3 to the collection, and no other face.

        Indexing the same photograph again returns the same face. Without a version, Rekognition
        reads the object that is there when it opens the photograph.

        Raises:
            NoFace: the photograph shows no face.
            PoorQuality: nobody could be recognised by its largest face.
            UnsupportedImage, ImageTooLarge, ImageTooSmall: Rekognition cannot read the image.
        """
        stored: S3ObjectTypeDef = {"Bucket": bucket, "Name": image_key}
        if version_id is not None:
            stored["Version"] = version_id
        try:
            answer = self._client_for_changes().index_faces(
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
            raise _not_indexed(unindexed)
        record = answer["FaceRecords"][0]
        indexed = IndexedFace(
            record["Face"]["FaceId"],
            _face(record["FaceDetail"]),
            answer["FaceModelVersion"],
        )
        # Rekognition drops faces of poor quality before it picks the largest. So the face that it
        # indexed may be a bystander's.
        area = _area(record["FaceDetail"])
        larger = [face for face in unindexed if _area(face["FaceDetail"]) > area]
        if larger:
            self.delete([indexed.face_id])
            raise _not_indexed(larger)
        return indexed

    def delete(self, face_ids: list[str]) -> None:
        """Delete faces from the collection; a face that is not there is no error."""
        client = self._client_for_changes()
        for start in range(0, len(face_ids), _MAX_DELETED):
            chunk = face_ids[start : start + _MAX_DELETED]
            client.delete_faces(CollectionId=self.collection_id, FaceIds=chunk)

    def present(self, face_ids: list[str]) -> set[str]:
        """Return the faces that are in the collection, out of the given ones."""
        if not face_ids:
            return set()
        answer = self._client().list_faces(CollectionId=self.collection_id, FaceIds=face_ids)
        return {face["FaceId"] for face in answer["Faces"]}

    def list_page(self, token: str | None) -> tuple[dict[str, str], str | None]:
        """List as many faces as Rekognition returns at once.

        Args:
            token: the token of the page before; None for the first page.

        Returns:
            The ``ExternalImageId`` of each face by its id, and the token of the next page; None at
            the end.
        """
        request: Any = {} if token is None else {"NextToken": token}
        answer = self._client().list_faces(
            CollectionId=self.collection_id, MaxResults=PAGE, **request
        )
        faces = {face["FaceId"]: face.get("ExternalImageId", "") for face in answer["Faces"]}
        return faces, answer.get("NextToken")

    def of_persons(self, person_ids: Collection[str]) -> Iterator[tuple[str, str]]:
        """List the whole collection for the faces that were indexed from persons' photographs.

        Yields:
            The id of each face, and the ``ExternalImageId`` of its photograph.
        """
        token = None
        while True:
            faces, token = self.list_page(token)
            for face_id, image_id in faces.items():
                if person_of_image_id(image_id) in person_ids:
                    yield face_id, image_id
            if token is None:
                return


def _as_image_problem(error: ClientError) -> Exception | None:
    """Translate Rekognition's error about an image; None for an error the image did not cause."""
    code = error.response["Error"]["Code"]
    if code == "InvalidImageFormatException":
        return UnsupportedImage("The image is damaged, or neither a JPEG nor a PNG.")
    if code == "ImageTooLargeException":
        return ImageTooLarge("The image has more bytes or pixels than Rekognition reads.")
    if code == "InvalidParameterException":
        return ImageTooSmall("The image is smaller than 80x80 pixels.")
    return None


def _not_indexed(unindexed: "list[UnindexedFaceTypeDef]") -> Exception:
    """Return the problem of a photograph of which Rekognition indexed no face."""
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
