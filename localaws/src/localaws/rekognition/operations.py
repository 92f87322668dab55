"""Rekognition's operations, under AWS's names: what each does with a valid request.

Each takes the members of the request that are present and returns those of the answer.
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
from localaws.rekognition.idempotency import once
from localaws.rekognition.images import Image
from localaws.rekognition.users import Outcome, Refused

Members: TypeAlias = dict[str, Any]
ReadObject: TypeAlias = Callable[[str, str, str | None], bytes]
"""Returns the object of a bucket, a key and a version if any; LookupError when there is none."""

DEFAULT_THRESHOLD: Final = 80.0
DEFAULT_ASSOCIATION_THRESHOLD: Final = 75.0
# The documented maxima; AWS does not document what it takes when none is given.
MAX_MATCHES: Final = 4096
MAX_USERS: Final = 500
MAX_DETECTED: Final = 100
DEFAULT_PAGE: Final = 1000

_NO_FACE: Final = "There are no faces in the image. Should be at least 1."
_ARN: Final = re.compile(r"arn:aws[a-z-]*:rekognition:[^:]+:[^:]+:[a-z-]+/.+")
# Image ids are name-based UUIDs, as AWS's are (09f43d92-02b6-5cea-8fbd-9f187db2050d is one of its):
# the same image always has the same id.
_IMAGE_IDS: Final = uuid.UUID("f4b1d6b0-4d0c-5d0e-9a3e-5e1f6b8c2a70")


@dataclass(frozen=True, slots=True, eq=False)
class _Portrait:
    """A face of an image that is to be indexed or compared."""

    analysis: FaceAnalysis
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """A face of an image that is not, and why, in AWS's words."""

    analysis: FaceAnalysis
    reasons: list[str]


class Operations:
    """The operations on one account's collections in one region."""

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
        """Make an empty collection."""
        collection = self._collections.create(request["CollectionId"], request.get("Tags", {}))
        return {
            "StatusCode": 200,
            # Here, and only here, AWS leaves out the leading "arn:".
            "CollectionArn": self._arn_prefix + collection.collection_id,
            "FaceModelVersion": FACE_MODEL_VERSION,
        }

    def describe_collection(self, request: Members) -> Members:
        """Say how many faces and users a collection has, and since when it exists."""
        collection = self._collections.get(request["CollectionId"])
        return {
            "FaceCount": len(collection.faces),
            "FaceModelVersion": FACE_MODEL_VERSION,
            "CollectionARN": f"arn:{self._arn_prefix}{collection.collection_id}",
            "CreationTimestamp": round(collection.created_at, 3),
            "UserCount": collection.users.count(),
        }

    def list_collections(self, request: Members) -> Members:
        """List collections in the order in which they were made."""
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
        """Delete a collection and what is in it."""
        self._collections.delete(request["CollectionId"])
        return {"StatusCode": 200}

    def tag_resource(self, request: Members) -> Members:
        """Add tags to a collection."""
        self._tagged(request["ResourceArn"]).tag(request["Tags"])
        return {}

    def untag_resource(self, request: Members) -> Members:
        """Remove tags from a collection."""
        self._tagged(request["ResourceArn"]).untag(request["TagKeys"])
        return {}

    def list_tags_for_resource(self, request: Members) -> Members:
        """List the tags of a collection."""
        return {"Tags": self._tagged(request["ResourceArn"]).tags()}

    def _tagged(self, arn: str) -> Collection:
        """Return the collection that an ARN names.

        Raises:
            InvalidParameterException: it is no ARN of Rekognition's.
            ResourceNotFoundException: there is none here.
        """
        if not _ARN.fullmatch(arn):
            raise InvalidParameterException
        prefix, _, collection_id = arn.partition("/")
        if f"{prefix}/" != f"arn:{self._arn_prefix}":
            raise ResourceNotFoundException(f"The resource: {arn} does not exist")
        return self._collections.get(collection_id)

    def detect_faces(self, request: Members) -> Members:
        """Describe the faces in an image, the largest first.

        Whichever Attributes are asked for, the answer has those that are truly computed, which are
        AWS's default ones; AWS gives these always, too.
        """
        image = images.decode(self._image_bytes(request["Image"]))
        return {"FaceDetails": [answers.face_detail(a) for a in self._analyse(image)]}

    def index_faces(self, request: Members) -> Members:
        """Put the faces in an image into a collection, the largest first."""
        collection = self._collections.get(request["CollectionId"])
        content = self._image_bytes(request["Image"])
        chosen, left_out = self._choose(
            content, request.get("QualityFilter", "AUTO"), request.get("MaxFaces", MAX_DETECTED)
        )
        image_id = str(uuid.uuid5(_IMAGE_IDS, hashlib.sha256(content).hexdigest()))
        external_image_id = request.get("ExternalImageId")
        new = [
            NewFace(
                image_id=image_id,
                external_image_id=external_image_id,
                bounding_box=portrait.analysis.bounding_box,
                confidence=portrait.analysis.confidence,
                vector=portrait.embedding.vector,
            )
            for portrait in chosen
        ]
        indexed = collection.write(lambda connection: collection.faces.add(connection, new))
        return {
            "FaceRecords": [
                _face_record(face, portrait) for face, portrait in zip(indexed, chosen, strict=True)
            ],
            "FaceModelVersion": FACE_MODEL_VERSION,
            "UnindexedFaces": [
                {"Reasons": face.reasons, "FaceDetail": answers.face_detail(face.analysis)}
                for face in left_out
            ],
        }

    def list_faces(self, request: Members) -> Members:
        """List the faces of a collection in the order in which they were indexed."""
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
        """Take faces out of a collection, but none that belongs to a user."""
        collection = self._collections.get(request["CollectionId"])

        def delete(connection: sqlite3.Connection) -> Members:
            known = collection.faces.find(request["FaceIds"], connection)
            deleted: list[IndexedFace] = []
            refused: list[Refused] = []
            for face_id in dict.fromkeys(request["FaceIds"]):
                face = known.get(face_id)
                if face is None:
                    refused.append(Refused(face_id, ["FACE_NOT_FOUND"]))
                elif face.user_id is not None:
                    reason = "ASSOCIATED_TO_AN_EXISTING_USER"
                    refused.append(Refused(face_id, [reason], face.user_id))
                else:
                    deleted.append(face)
            collection.faces.remove(connection, deleted)
            return {
                "DeletedFaces": [face.face_id for face in deleted],
                "UnsuccessfulFaceDeletions": answers.refused_faces(refused),
            }

        return collection.write(delete)

    def search_faces(self, request: Members) -> Members:
        """Find the faces of a collection that look like one of them."""
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
        """Find the faces of a collection that look like the largest face in an image."""
        collection = self._collections.get(request["CollectionId"])
        (searched,) = self._good_portraits(request["Image"], request, limit=1, complaint=_NO_FACE)
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
        """Make a user without faces."""
        collection = self._collections.get(request["CollectionId"])

        def create(connection: sqlite3.Connection) -> Members:
            collection.users.create(connection, request["UserId"])
            return {}

        return collection.write(once("CreateUser", request, create))

    def delete_user(self, request: Members) -> Members:
        """Delete a user; the user's faces stay in the collection."""
        collection = self._collections.get(request["CollectionId"])

        def delete(connection: sqlite3.Connection) -> Members:
            collection.users.delete(connection, request["UserId"])
            return {}

        return collection.write(once("DeleteUser", request, delete))

    def list_users(self, request: Members) -> Members:
        """List the users of a collection in the order in which they were created."""
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
        """Add faces to a user's, if they look like the user."""
        collection = self._collections.get(request["CollectionId"])
        threshold = request.get("UserMatchThreshold", DEFAULT_ASSOCIATION_THRESHOLD)

        def associate(connection: sqlite3.Connection) -> Members:
            outcome = collection.users.associate(
                connection, request["UserId"], request["FaceIds"], threshold
            )
            return _outcome("Association", "AssociatedFaces", outcome)

        return collection.write(once("AssociateFaces", request, associate))

    def disassociate_faces(self, request: Members) -> Members:
        """Take faces away from a user; they stay in the collection."""
        collection = self._collections.get(request["CollectionId"])

        def disassociate(connection: sqlite3.Connection) -> Members:
            outcome = collection.users.disassociate(
                connection, request["UserId"], request["FaceIds"]
            )
            return _outcome("Disassociation", "DisassociatedFaces", outcome)

        return collection.write(once("DisassociateFaces", request, disassociate))

    def search_users(self, request: Members) -> Members:
        """Find the users who look like a face of the collection, or like another user."""
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
        """Find the users who look like the largest face in an image."""
        collection = self._collections.get(request["CollectionId"])
        chosen, left_out = self._choose(
            self._image_bytes(request["Image"]), request.get("QualityFilter", "NONE"), limit=1
        )
        answer: Members = {
            "UserMatches": [],
            "FaceModelVersion": FACE_MODEL_VERSION,
            "UnsearchedFaces": [_unsearched_face(face) for face in left_out],
        }
        for searched in chosen:
            matches = collection.users.search(
                searched.embedding.vector,
                request.get("UserMatchThreshold", DEFAULT_THRESHOLD),
                request.get("MaxUsers", MAX_USERS),
            )
            answer["UserMatches"] = answers.user_matches(matches)
            answer["SearchedFace"] = {"FaceDetail": answers.face_detail(searched.analysis)}
        return answer

    def compare_faces(self, request: Members) -> Members:
        """Compare the largest face in an image with all faces in another."""
        (source,) = self._good_portraits(request["SourceImage"], request, limit=1)
        targets = self._good_portraits(request["TargetImage"], request, limit=MAX_DETECTED)
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
        """Return the bytes of an Image, wherever they are.

        Raises:
            InvalidParameterException: neither Bytes nor S3Object, or both.
            InvalidS3ObjectException: there is no such object.
            ImageTooLargeException: the object has more than 15 MB.
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

    def _choose(
        self, content: bytes, quality_filter: str, limit: int
    ) -> tuple[list[_Portrait], list[_LeftOut]]:
        """Split the faces in an image, the largest first, into those to use and those not to.

        Poor faces are left out first, and then the smallest.
        """
        image = images.decode(content)
        chosen: list[_Portrait] = []
        left_out: list[_LeftOut] = []
        for analysis in self._analyse(image):
            if len(chosen) == limit:
                left_out.append(_LeftOut(analysis, ["EXCEEDS_MAX_FACES"]))
                continue
            embedding = self._engine.embed(image, analysis.face)
            reasons = filters.reasons(quality_filter, analysis, embedding)
            if reasons:
                left_out.append(_LeftOut(analysis, reasons))
            else:
                chosen.append(_Portrait(analysis, embedding))
        return chosen, left_out

    def _good_portraits(
        self, image: Members, request: Members, *, limit: int, complaint: str | None = None
    ) -> list[_Portrait]:
        """Return the faces in an image that pass the request's QualityFilter, the largest first.

        Raises:
            InvalidParameterException: there is none; with the ``complaint`` as its message.
        """
        content = self._image_bytes(image)
        portraits, _ = self._choose(content, request.get("QualityFilter", "NONE"), limit)
        if not portraits:
            raise InvalidParameterException(complaint)
        return portraits


def _face_record(face: IndexedFace, portrait: _Portrait) -> Members:
    return {
        "Face": answers.indexed_face(face),
        "FaceDetail": answers.face_detail(portrait.analysis),
    }


def _outcome(noun: str, done: str, outcome: Outcome) -> Members:
    return {
        done: answers.face_ids(outcome.done),
        f"UnsuccessfulFace{noun}s": answers.refused_faces(outcome.refused),
        "UserStatus": answers.user_status(outcome.has_faces),
    }


def _unsearched_face(face: _LeftOut) -> Members:
    words = {"EXCEEDS_MAX_FACES": "FACE_NOT_LARGEST"}
    return {
        "FaceDetails": answers.face_detail(face.analysis),
        "Reasons": [words.get(reason, reason) for reason in face.reasons],
    }
