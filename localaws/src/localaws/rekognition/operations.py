"""Rekognition's operations, named as AWS names them.

Each operation receives the members of a validated request and returns the members of the answer.
"""

import hashlib
import re
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from localaws.rekognition import answers, calibration, filters, images, paging
from localaws.rekognition.analysis import FaceAnalysis, analyse
from localaws.rekognition.collections import FACE_MODEL_VERSION, Collection, Collections
from localaws.rekognition.engine import Embedding, FaceEngine
from localaws.rekognition.exceptions import (
    ImageTooLargeException,
    InvalidParameterException,
    InvalidS3ObjectException,
    ResourceNotFoundException,
)
from localaws.rekognition.faces import IndexedFace, NewFace
from localaws.rekognition.idempotency import idempotent
from localaws.rekognition.images import Image
from localaws.rekognition.users import AssociationResult, UnsuccessfulFace

Members: TypeAlias = dict[str, Any]
ReadObject: TypeAlias = Callable[[str, str, str | None], bytes]
"""Returns the bytes of an S3 object, given its bucket, key and version (None for the latest).

Raises LookupError if the object does not exist or may not be read.
"""

DEFAULT_THRESHOLD: Final = 80.0
DEFAULT_ASSOCIATION_THRESHOLD: Final = 75.0
# AWS documents these maxima, but not the defaults. We use the maxima as defaults.
MAX_MATCHES: Final = 4096
MAX_USERS: Final = 500
MAX_DETECTED: Final = 100
DEFAULT_PAGE: Final = 1000

_NO_FACE: Final = "There are no faces in the image. Should be at least 1."
_ARN: Final = re.compile(r"arn:aws[a-z-]*:rekognition:[^:]+:[^:]+:[a-z-]+/.+")
# Image ids are name-based UUIDs (version 5), so the same image always has the same id. AWS's are of
# the same version; an example is 09f43d92-02b6-5cea-8fbd-9f187db2050d.
_IMAGE_IDS: Final = uuid.UUID("f4b1d6b0-4d0c-5d0e-9a3e-5e1f6b8c2a70")


@dataclass(frozen=True, slots=True, eq=False)
class _EmbeddedFace:
    """A face that passed the filters, with its vector."""

    analysis: FaceAnalysis
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class _RejectedFace:
    """A face that did not pass the filters."""

    analysis: FaceAnalysis
    reasons: list[str]
    """AWS's names of the reasons, such as ``LOW_SHARPNESS``."""


class Operations:
    """The operations on the collections of one account in one region.

    Args:
        collections: the state.
        engine: finds and describes faces.
        read_object: reads images from S3.
        region: the region in the ARNs of collections.
        account: the account in the ARNs of collections.
    """

    def __init__(
        self,
        collections: Collections,
        engine: FaceEngine,
        read_object: ReadObject,
        *,
        region: str,
        account: str,
    ) -> None:
        self._collections = collections
        self._engine = engine
        self._read_object = read_object
        self._arn_prefix = f"aws:rekognition:{region}:{account}:collection/"

    def create_collection(self, request: Members) -> Members:
        """Create an empty collection."""
        collection = self._collections.create(request["CollectionId"], request.get("Tags", {}))
        return {
            "StatusCode": 200,
            # Only in this answer, AWS omits the leading "arn:".
            "CollectionArn": self._arn_prefix + collection.collection_id,
            "FaceModelVersion": FACE_MODEL_VERSION,
        }

    def describe_collection(self, request: Members) -> Members:
        """Return a collection's number of faces and users, and its time of creation."""
        collection = self._collections.get(request["CollectionId"])
        return {
            "FaceCount": len(collection.faces),
            "FaceModelVersion": FACE_MODEL_VERSION,
            "CollectionARN": f"arn:{self._arn_prefix}{collection.collection_id}",
            "CreationTimestamp": round(collection.created_at, 3),
            "UserCount": collection.users.count(),
        }

    def list_collections(self, request: Members) -> Members:
        """List collections in the order of creation."""
        size = request.get("MaxResults") or DEFAULT_PAGE
        after = paging.decode("ListCollections", request.get("NextToken"))
        page, last = paging.split(self._collections.page(after, size + 1), size)
        answer: Members = {
            "CollectionIds": [collection.collection_id for collection in page],
            "FaceModelVersions": [FACE_MODEL_VERSION] * len(page),
        }
        if last is not None:
            answer["NextToken"] = paging.encode("ListCollections", last.key)
        return answer

    def delete_collection(self, request: Members) -> Members:
        """Delete a collection with its users and faces."""
        self._collections.delete(request["CollectionId"])
        return {"StatusCode": 200}

    def tag_resource(self, request: Members) -> Members:
        """Add tags to a collection."""
        self._collection_by_arn(request["ResourceArn"]).tag(request["Tags"])
        return {}

    def untag_resource(self, request: Members) -> Members:
        """Remove tags from a collection."""
        self._collection_by_arn(request["ResourceArn"]).untag(request["TagKeys"])
        return {}

    def list_tags_for_resource(self, request: Members) -> Members:
        """List the tags of a collection."""
        return {"Tags": self._collection_by_arn(request["ResourceArn"]).tags()}

    def _collection_by_arn(self, arn: str) -> Collection:
        """Return the collection with an ARN.

        Raises:
            InvalidParameterException: the text is not an ARN of Rekognition.
            ResourceNotFoundException: no collection has this ARN.
        """
        if not _ARN.fullmatch(arn):
            raise InvalidParameterException
        prefix, _, collection_id = arn.partition("/")
        if f"{prefix}/" != f"arn:{self._arn_prefix}":
            raise ResourceNotFoundException(f"The resource: {arn} does not exist")
        return self._collections.get(collection_id)

    def detect_faces(self, request: Members) -> Members:
        """Describe the faces in an image, largest first.

        The answer always has AWS's default attributes and no others, whatever Attributes the
        request asks for: the models cannot compute others.
        """
        with images.in_turn(self._image_bytes(request["Image"])) as image:
            return {"FaceDetails": [answers.face_detail(a) for a in self._analyse(image)]}

    def index_faces(self, request: Members) -> Members:
        """Add the faces in an image to a collection, largest first."""
        collection = self._collections.get(request["CollectionId"])
        content = self._image_bytes(request["Image"])
        accepted, rejected = self._filter_faces(
            content, request.get("QualityFilter", "AUTO"), request.get("MaxFaces", MAX_DETECTED)
        )
        image_id = str(uuid.uuid5(_IMAGE_IDS, hashlib.sha256(content).hexdigest()))
        external_image_id = request.get("ExternalImageId")
        new = [
            NewFace(
                image_id=image_id,
                external_image_id=external_image_id,
                bounding_box=face.analysis.bounding_box,
                confidence=face.analysis.confidence,
                vector=face.embedding.vector,
            )
            for face in accepted
        ]
        indexed = collection.write(lambda connection: collection.faces.add(connection, new))
        return {
            "FaceRecords": [
                {
                    "Face": answers.indexed_face(face),
                    "FaceDetail": answers.face_detail(source.analysis),
                }
                for face, source in zip(indexed, accepted, strict=True)
            ],
            "FaceModelVersion": FACE_MODEL_VERSION,
            "UnindexedFaces": [
                {"Reasons": face.reasons, "FaceDetail": answers.face_detail(face.analysis)}
                for face in rejected
            ],
        }

    def list_faces(self, request: Members) -> Members:
        """List the faces of a collection in the order of indexing."""
        collection = self._collections.get(request["CollectionId"])
        user_id, face_ids = request.get("UserId"), request.get("FaceIds")
        user = None if user_id is None else collection.users.get(user_id).key
        scope = f"ListFaces {collection.collection_id} {user_id or ''} {face_ids or ''}"
        after = paging.decode(scope, request.get("NextToken"))
        size = request.get("MaxResults") or DEFAULT_PAGE
        listed = collection.faces.page(after, size + 1, face_ids=face_ids, user=user)
        page, last = paging.split(listed, size)
        answer: Members = {
            "Faces": [answers.indexed_face(face) for face in page],
            "FaceModelVersion": FACE_MODEL_VERSION,
        }
        if last is not None:
            answer["NextToken"] = paging.encode(scope, last.key)
        return answer

    def delete_faces(self, request: Members) -> Members:
        """Delete faces from a collection. Faces of users are not deleted."""
        collection = self._collections.get(request["CollectionId"])

        def delete(connection: sqlite3.Connection) -> Members:
            found = collection.faces.find(request["FaceIds"], connection)
            deleted: list[IndexedFace] = []
            unsuccessful: list[UnsuccessfulFace] = []
            for face_id in dict.fromkeys(request["FaceIds"]):
                face = found.get(face_id)
                if face is None:
                    unsuccessful.append(UnsuccessfulFace(face_id, ["FACE_NOT_FOUND"]))
                elif face.user_id is not None:
                    reason = "ASSOCIATED_TO_AN_EXISTING_USER"
                    unsuccessful.append(UnsuccessfulFace(face_id, [reason], face.user_id))
                else:
                    deleted.append(face)
            collection.faces.remove(connection, deleted)
            return {
                "DeletedFaces": [face.face_id for face in deleted],
                "UnsuccessfulFaceDeletions": answers.unsuccessful_faces(unsuccessful),
            }

        return collection.write(delete)

    def search_faces(self, request: Members) -> Members:
        """Search a collection for faces similar to one of its faces."""
        collection = self._collections.get(request["CollectionId"])
        matches = collection.faces.search_by_face(
            request["FaceId"],
            request.get("FaceMatchThreshold", DEFAULT_THRESHOLD),
            request.get("MaxFaces", MAX_MATCHES),
        )
        return {
            "SearchedFaceId": request["FaceId"],
            "FaceMatches": answers.face_matches(matches),
            "FaceModelVersion": FACE_MODEL_VERSION,
        }

    def search_faces_by_image(self, request: Members) -> Members:
        """Search a collection for faces similar to the largest face in an image."""
        collection = self._collections.get(request["CollectionId"])
        (searched,) = self._accepted_faces(request["Image"], request, limit=1, message=_NO_FACE)
        matches = collection.faces.search(
            searched.embedding.vector,
            request.get("FaceMatchThreshold", DEFAULT_THRESHOLD),
            request.get("MaxFaces", MAX_MATCHES),
        )
        return {
            "SearchedFaceBoundingBox": answers.bounding_box(searched.analysis.bounding_box),
            "SearchedFaceConfidence": searched.analysis.confidence,
            "FaceMatches": answers.face_matches(matches),
            "FaceModelVersion": FACE_MODEL_VERSION,
        }

    def create_user(self, request: Members) -> Members:
        """Create a user without faces."""
        collection = self._collections.get(request["CollectionId"])

        def create(connection: sqlite3.Connection) -> Members:
            collection.users.create(connection, request["UserId"])
            return {}

        return collection.write(idempotent("CreateUser", request, create))

    def delete_user(self, request: Members) -> Members:
        """Delete a user. The user's faces stay in the collection."""
        collection = self._collections.get(request["CollectionId"])

        def delete(connection: sqlite3.Connection) -> Members:
            collection.users.delete(connection, request["UserId"])
            return {}

        return collection.write(idempotent("DeleteUser", request, delete))

    def list_users(self, request: Members) -> Members:
        """List the users of a collection in the order of creation."""
        collection = self._collections.get(request["CollectionId"])
        scope = f"ListUsers {collection.collection_id}"
        after = paging.decode(scope, request.get("NextToken"))
        size = request.get("MaxResults", MAX_USERS)
        page, last = paging.split(collection.users.page(after, size + 1), size)
        answer: Members = {"Users": [answers.user(user) for user in page]}
        if last is not None:
            answer["NextToken"] = paging.encode(scope, last.key)
        return answer

    def associate_faces(self, request: Members) -> Members:
        """Associate faces with a user if they are similar to the user's faces."""
        collection = self._collections.get(request["CollectionId"])
        threshold = request.get("UserMatchThreshold", DEFAULT_ASSOCIATION_THRESHOLD)

        def associate(connection: sqlite3.Connection) -> Members:
            result = collection.users.associate(
                connection, request["UserId"], request["FaceIds"], threshold
            )
            return _association("AssociatedFaces", "UnsuccessfulFaceAssociations", result)

        return collection.write(idempotent("AssociateFaces", request, associate))

    def disassociate_faces(self, request: Members) -> Members:
        """Disassociate faces from a user. The faces stay in the collection."""
        collection = self._collections.get(request["CollectionId"])

        def disassociate(connection: sqlite3.Connection) -> Members:
            result = collection.users.disassociate(
                connection, request["UserId"], request["FaceIds"]
            )
            return _association("DisassociatedFaces", "UnsuccessfulFaceDisassociations", result)

        return collection.write(idempotent("DisassociateFaces", request, disassociate))

    def search_users(self, request: Members) -> Members:
        """Search for users similar to a face of the collection, or to another user."""
        collection = self._collections.get(request["CollectionId"])
        if ("UserId" in request) == ("FaceId" in request):
            raise InvalidParameterException("Either UserId or FaceId should be provided.")
        threshold = request.get("UserMatchThreshold", DEFAULT_THRESHOLD)
        limit = request.get("MaxUsers", MAX_USERS)
        answer: Members = {"FaceModelVersion": FACE_MODEL_VERSION}
        if "UserId" in request:
            matches = collection.users.search_by_user(request["UserId"], threshold, limit)
            answer["SearchedUser"] = {"UserId": request["UserId"]}
        else:
            vector = collection.faces.vector_of(request["FaceId"])
            matches = collection.users.search(vector, threshold, limit)
            answer["SearchedFace"] = {"FaceId": request["FaceId"]}
        return answer | {"UserMatches": answers.user_matches(matches)}

    def search_users_by_image(self, request: Members) -> Members:
        """Search for users similar to the largest face in an image."""
        collection = self._collections.get(request["CollectionId"])
        accepted, rejected = self._filter_faces(
            self._image_bytes(request["Image"]), request.get("QualityFilter", "NONE"), limit=1
        )
        answer: Members = {
            "UserMatches": [],
            "FaceModelVersion": FACE_MODEL_VERSION,
            "UnsearchedFaces": [_unsearched_face(face) for face in rejected],
        }
        for searched in accepted:
            matches = collection.users.search(
                searched.embedding.vector,
                request.get("UserMatchThreshold", DEFAULT_THRESHOLD),
                request.get("MaxUsers", MAX_USERS),
            )
            answer["UserMatches"] = answers.user_matches(matches)
            answer["SearchedFace"] = {"FaceDetail": answers.face_detail(searched.analysis)}
        return answer

    def compare_faces(self, request: Members) -> Members:
        """Compare the largest face in one image with all faces in another."""
        (source,) = self._accepted_faces(request["SourceImage"], request, limit=1)
        targets = self._accepted_faces(request["TargetImage"], request, limit=MAX_DETECTED)
        threshold = request.get("SimilarityThreshold", DEFAULT_THRESHOLD)
        matches, unmatched = [], []
        for target in targets:
            cosine = float(source.embedding.vector @ target.embedding.vector)
            similarity = calibration.similarity(cosine)
            face = answers.face_detail(target.analysis)
            if similarity >= threshold:
                matches.append({"Similarity": similarity, "Face": face})
            else:
                unmatched.append(face)
        return {
            "SourceImageFace": answers.compared_source_face(source.analysis),
            "FaceMatches": sorted(matches, key=lambda m: m["Similarity"], reverse=True),
            "UnmatchedFaces": unmatched,
        }

    def _image_bytes(self, image: Members) -> bytes:
        """Return the bytes of an Image, from the request or from S3.

        Raises:
            InvalidParameterException: the Image has neither Bytes nor S3Object, or both.
            InvalidS3ObjectException: the object does not exist, or may not be read.
            ImageTooLargeException: the object is larger than 15 MB.
        """
        if len(image) != 1:
            raise InvalidParameterException
        if "Bytes" in image:
            return bytes(image["Bytes"])
        s3_object = image["S3Object"]
        if "Bucket" not in s3_object or "Name" not in s3_object:
            raise InvalidS3ObjectException("Request has invalid S3 object.")
        try:
            content = self._read_object(
                s3_object["Bucket"], s3_object["Name"], s3_object.get("Version")
            )
        except LookupError as error:
            raise InvalidS3ObjectException from error
        if len(content) > images.MAX_S3_OBJECT_BYTES:
            raise ImageTooLargeException
        return content

    def _analyse(self, image: Image) -> list[FaceAnalysis]:
        faces = self._engine.detect(image)[:MAX_DETECTED]
        return [analyse(image, face) for face in faces]

    def _filter_faces(
        self, content: bytes, quality_filter: str, limit: int
    ) -> tuple[list[_EmbeddedFace], list[_RejectedFace]]:
        """Return the accepted and the rejected faces in an image, each largest first.

        Faces of poor quality are rejected first. Of the others, the largest are accepted, up to the
        limit.
        """
        accepted: list[_EmbeddedFace] = []
        rejected: list[_RejectedFace] = []
        with images.in_turn(content) as image:
            for analysis in self._analyse(image):
                if len(accepted) == limit:
                    rejected.append(_RejectedFace(analysis, ["EXCEEDS_MAX_FACES"]))
                    continue
                embedding = self._engine.embed(image, analysis.face)
                reasons = filters.rejection_reasons(quality_filter, analysis, embedding)
                if reasons:
                    rejected.append(_RejectedFace(analysis, reasons))
                else:
                    accepted.append(_EmbeddedFace(analysis, embedding))
        return accepted, rejected

    def _accepted_faces(
        self, image: Members, request: Members, *, limit: int, message: str | None = None
    ) -> list[_EmbeddedFace]:
        """Return the faces in an image that pass the request's QualityFilter, largest first.

        Raises:
            InvalidParameterException: no face passes. The error has ``message`` as its message.
        """
        content = self._image_bytes(image)
        faces, _ = self._filter_faces(content, request.get("QualityFilter", "NONE"), limit)
        if not faces:
            raise InvalidParameterException(message)
        return faces


def _association(changed: str, unsuccessful: str, result: AssociationResult) -> Members:
    """Return the answer to AssociateFaces or DisassociateFaces, given its names for two lists."""
    return {
        changed: answers.face_ids(result.changed),
        unsuccessful: answers.unsuccessful_faces(result.unsuccessful),
        "UserStatus": answers.user_status(result.has_faces),
    }


def _unsearched_face(face: _RejectedFace) -> Members:
    # SearchUsersByImage has its own name for this reason.
    names = {"EXCEEDS_MAX_FACES": "FACE_NOT_LARGEST"}
    return {
        "FaceDetails": answers.face_detail(face.analysis),
        "Reasons": [names.get(reason, reason) for reason in face.reasons],
    }
