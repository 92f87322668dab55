"""The API's routes as callers see them, each with examples of its requests and answers.

The examples are instances of the application's own messages, so their shape is always the real one.
"""

from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from chalicelib import errors, images
from chalicelib.errors import FieldError, Problem
from chalicelib.messages import (
    CreateIndexRequest,
    FailedPhotograph,
    IndexedPhotograph,
    IndexReport,
    Match,
    Registered,
    RegisterRequest,
    Verification,
    VerifyRequest,
)
from chalicelib.models import BoundingBox, Face, Person, Pose, Quality, SearchedFace, Upload

Json = dict[str, Any]

KEY = "faces/ada/0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6.jpg"
FACE_ID = "b6ee1d0e-6a3f-4d0c-9a53-0a2d6f1c7e11"
BOX = BoundingBox(left=0.31, top=0.12, width=0.36, height=0.51)
FACE = Face(
    BOX,
    confidence=99.98,
    quality=Quality(brightness=78.1, sharpness=92.2),
    pose=Pose(roll=-1.4, yaw=6.2, pitch=2.9),
)
IMAGE = "/9j/4AAQSkZJRgABAQAAAQABAAD…"
REQUEST_ID = "0f3c1c1e-7f0b-4c5f-8b3a-2f6d8a9e4b70"

ANY_ROUTE = (
    errors.MalformedRequest(
        "threshold: Expected `float` <= 100.0",
        errors=[FieldError("threshold", "Expected `float` <= 100.0")],
    ),
    errors.Unauthorized("The credentials are missing or not valid."),
    errors.Forbidden("These credentials do not allow this request."),
    errors.RequestTimeout("The body did not arrive within 29 seconds."),
    errors.ImageTooLarge(f"The image has 4.2 MiB. {images.WHERE_TO_WITH_LARGE_ONES}"),
    errors.UnsupportedMediaType("The body has to be application/json."),
    errors.Throttled("The service is busy. Try again in a moment."),
    Problem("The request could not be completed. Report its requestId to the operator."),
    errors.ServiceUnavailable("A service behind this one could not be reached. Try again later."),
)
"""Examples of the problems that every route may answer with."""
PHOTOGRAPH_PROBLEMS = (
    errors.ImageMissing("Send the photograph to verify as image, or as the body."),
    errors.UnsupportedImage("The image is a HEIC file. Send a JPEG or a PNG."),
    errors.ImageTooSmall("The image has 64x64 pixels. It needs at least 80x80."),
    errors.NoFace("The photograph shows no face."),
)
"""Examples of the problems of every route that reads a photograph."""


@dataclass(frozen=True)
class Operation:
    """A route of the application, as its callers see it."""

    path: str
    summary: str
    description: str
    request: type[Struct]
    request_examples: dict[str, Json]
    """JSON bodies, by the titles of the examples."""
    answer: type[Struct]
    answers: dict[int, tuple[str, dict[str, Struct]]]
    """The meaning of each status, and examples by their titles."""
    problems: tuple[Problem, ...] = ()
    """Examples of the problems of this route, besides those of :data:`ANY_ROUTE`."""
    links: dict[int, Json] = field(default_factory=dict)
    """OpenAPI links from an answer to the next request, by the answer's status."""


_VERIFY = {"operationId": "verify", "requestBody": {"personId": "$response.body#/personId"}}
_INDEX = {
    "operationId": "create-index",
    "requestBody": {"imageKey": "$response.body#/imageKey"},
}
_CONTINUE = {
    "operationId": "create-index",
    "requestBody": {"nextToken": "$response.body#/nextToken"},
}

OPERATIONS = (
    Operation(
        path="/register",
        summary="Register a photograph of a person",
        description=(
            "With a photograph: store it if it shows exactly one usable face that is not registered"
            " to another person. The person can be recognised soon afterwards. Repeating the"
            " request changes nothing. Without a photograph: return an address and form fields for"
            " an upload."
        ),
        request=RegisterRequest,
        request_examples={
            "with a photograph": {"name": "Ada Lovelace", "personId": "ada", "image": IMAGE},
            "without a photograph": {"name": "Ada Lovelace", "contentType": "image/png"},
        },
        answer=Registered,
        answers={
            200: (
                "This photograph of this person was registered before.",
                {
                    "the same again": Registered(
                        person_id="ada",
                        name="Ada Lovelace",
                        image_key=KEY,
                        status="registered",
                        face=FACE,
                    )
                },
            ),
            201: (
                "The photograph is registered, or can be uploaded.",
                {
                    "registered": Registered(
                        person_id="ada",
                        name="Ada Lovelace",
                        image_key=KEY,
                        status="registered",
                        face=FACE,
                    ),
                    "to be uploaded": Registered(
                        person_id="2b1c8f0e5d6a4c3b9f7e1a2d3c4b5a69",
                        name="Ada Lovelace",
                        image_key="faces/2b1c8f0e5d6a4c3b9f7e1a2d3c4b5a69/7d0f.png",
                        status="registered",
                        upload=Upload(
                            url="https://facial-recognition-data-bucket.s3.us-east-1.amazonaws.com/",
                            fields={
                                "key": "faces/2b1c8f0e5d6a4c3b9f7e1a2d3c4b5a69/7d0f.png",
                                "Content-Type": "image/png",
                                "x-amz-meta-name": "Ada%20Lovelace",
                                "policy": "eyJleHBpcmF0aW9uIjog…",
                                "x-amz-algorithm": "AWS4-HMAC-SHA256",
                                "x-amz-credential": "…/20260101/us-east-1/s3/aws4_request",
                                "x-amz-date": "20260101T000000Z",
                                "x-amz-signature": "5d41402abc4b2a76b9719d911017c592…",
                            },
                            expires_in=900,
                        ),
                    ),
                },
            ),
        },
        problems=(
            *PHOTOGRAPH_PROBLEMS,
            errors.SeveralFaces("The photograph shows 2 faces. Take one with only this person."),
            errors.PoorQuality("The face is too dark and too blurred."),
            errors.FaceRegisteredToAnotherPerson(
                "This face is registered to another person. To add a photograph of that person,"
                " send their personId.",
                person_id="grace",
            ),
        ),
        links={
            200: {"is it this person": _VERIFY, "index it": _INDEX},
            201: {"is it this person": _VERIFY, "index it": _INDEX},
        },
    ),
    Operation(
        path="/create-index",
        summary="Bring the index in line with the photographs",
        description=(
            "Index the photographs that are not indexed, and forget the faces of photographs that"
            " are gone: of everybody, of one person, or of one photograph. After 20 seconds of work"
            " the response has a `nextToken`. Send it with the same other fields to continue."
        ),
        request=CreateIndexRequest,
        request_examples={
            "everything": {},
            "a person": {"personId": "ada"},
            "a photograph": {"imageKey": KEY},
            "continue": {"nextToken": "eyJwaGFzZSI6InJlY29yZHMiLCJhZnRlciI6bnVsbH0="},
            "repair": {"repair": True},
        },
        answer=IndexReport,
        answers={
            200: (
                "The work that was done.",
                {
                    "done": IndexReport(
                        collection_id="face-collection",
                        indexed=[IndexedPhotograph(KEY, "ada", FACE_ID)],
                        unchanged=12,
                        removed=1,
                        failed=[
                            FailedPhotograph(
                                "faces/grace/beach.jpg", "no_face", "The photograph shows no face."
                            )
                        ],
                    ),
                },
            )
        },
        links={200: {"continue": _CONTINUE}},
    ),
    Operation(
        path="/verify",
        summary="Say whose face a photograph shows",
        description=(
            "Without `personId`: who is it? With `personId`: is it this person? An unknown face is"
            " not an error. A stage can hide who is registered (`HIDE_UNKNOWN_PERSONS`). Its answer"
            " for an unknown person is that for a wrong face, and `threshold` cannot be lowered."
        ),
        request=VerifyRequest,
        request_examples={
            "who is it": {"image": IMAGE},
            "is it this person": {"image": IMAGE, "personId": "ada", "threshold": 99},
        },
        answer=Verification,
        answers={
            200: (
                "The person who was recognised, or nobody.",
                {
                    "recognised": Verification(
                        verified=True,
                        person=Person("ada", "Ada Lovelace"),
                        similarity=99.99,
                        threshold=95.0,
                        matches=[Match("ada", "Ada Lovelace", 99.99, FACE_ID, KEY)],
                        face=SearchedFace(BOX, confidence=99.98),
                    ),
                    "nobody": Verification(
                        verified=False,
                        person=None,
                        similarity=None,
                        threshold=95.0,
                        matches=[],
                        face=SearchedFace(BOX, confidence=99.98),
                    ),
                },
            )
        },
        problems=(
            *PHOTOGRAPH_PROBLEMS,
            errors.PersonUnknown("Nobody is registered under this personId."),
        ),
    ),
)
