"""The HTTP contract as OpenAPI 3.1, generated from the types that the application reads and writes.

    make openapi        writes docs/openapi.json and docs/api.html

Examples are made of the application's own messages, so that they cannot be of another shape.
"""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from chalicelib import errors, images
from chalicelib.errors import FieldError, Problem
from chalicelib.http import FORM, JSON, MAX_BODY_BYTES, PROBLEM_JSON, problem_details
from chalicelib.images import Photograph
from chalicelib.messages import (
    CreateIndexRequest,
    FailedPhotograph,
    IndexedPhotograph,
    IndexReport,
    Match,
    ProblemDetails,
    Registered,
    RegisterRequest,
    Verification,
    VerifyRequest,
)
from chalicelib.models import BoundingBox, Face, Person, Pose, Quality, SearchedFace, Upload
from facial_recognition.checkout import ROOT

DOCUMENT = ROOT / "docs" / "openapi.json"
PAGE = ROOT / "docs" / "api.html"

Json = dict[str, Any]

DESCRIPTION = f"""
Photographs of people are registered; later photographs are verified against them.

A photograph is a JPEG or a PNG, told by its content. It comes as base64 or as a `data:` URL in
`image` of a JSON body; as the body itself, with the other fields in the query; or as the field
`image` of a form, with the other fields beside it. It may have {images.MAX_INLINE_BYTES // 1024**2}
MiB, {images.MAX_PIXELS // 10**6} megapixels, and needs {images.MIN_SIDE} pixels each way; a whole
request may have {MAX_BODY_BYTES // 1024**2} MiB. Larger photographs, up to
{images.MAX_STORED_BYTES // 1024**2} MiB, are uploaded to the address that a registration without
one gives.

Fields that are not named here are refused, and so is a field that comes twice. A body without a
`Content-Type` is read as JSON, and JSON is UTF-8. `Accept` is not looked at: every answer is JSON.

Errors are problem details (RFC 9457) with a `code` for programs, a `detail` for people, and the
`requestId` under which the logs know the request. Of other paths and methods the answers are
problem details too: `not_found` (404) and `method_not_allowed` (405, with `Allow`).
"""

HEADERS: Json = {
    "X-Request-Id": {
        "description": "Under which the logs know the request.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    "X-Content-Type-Options": {"required": True, "schema": {"const": "nosniff"}},
    "Access-Control-Allow-Origin": {
        "description": "`*`, or the one origin whose pages may call the API.",
        "required": True,
        "schema": {"type": "string"},
    },
}
RETRY_AFTER: Json = {
    "description": "Seconds after which trying again helps.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}

KEY = "faces/ada/0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6.jpg"
FACE_ID = "b6ee1d0e-6a3f-4d0c-9a53-0a2d6f1c7e11"
BOX = BoundingBox(left=0.31, top=0.12, width=0.36, height=0.51)
IMAGE = "/9j/4AAQSkZJRgABAQAAAQABAAD…"
REQUEST_ID = "0f3c1c1e-7f0b-4c5f-8b3a-2f6d8a9e4b70"

ANY_BODY = (
    errors.MalformedRequest(
        "threshold: Expected `float` <= 100.0",
        errors=[FieldError("threshold", "Expected `float` <= 100.0")],
    ),
    errors.Unauthorized("The credentials are missing or not valid."),
    errors.Forbidden("These credentials do not allow this request."),
    errors.RequestTimeout("The body has not arrived within 29 seconds."),
    errors.ImageTooLarge(f"The image has 4.2 MiB. {images.WHERE_TO_WITH_LARGE_ONES}"),
    errors.UnsupportedMediaType("The body has to be application/json."),
    errors.Throttled("The service is busy. Try again in a moment."),
    Problem("The request could not be completed. Its id tells us where to look."),
    errors.ServiceUnavailable("A service that this one builds on could not be reached."),
)
PHOTOGRAPH = (
    errors.ImageMissing("Send the photograph to verify as image, or as the body."),
    errors.UnsupportedImage("The image is a HEIC file; only JPEG and PNG are read."),
    errors.ImageTooSmall("The image has 64x64 pixels; at least 80x80 are needed."),
    errors.NoFace("The photograph shows no face."),
)


@dataclass(frozen=True)
class Operation:
    """A route of the application, as its callers see it."""

    path: str
    summary: str
    description: str
    asks: type[Struct]
    questions: dict[str, Json]
    """Examples of JSON bodies."""
    answer: type[Struct]
    answers: dict[int, tuple[str, dict[str, Struct]]]
    """What each status means, with examples."""
    problems: tuple[Problem, ...] = ()
    """What else than :data:`ANY_BODY` may be wrong."""
    links: dict[int, Json] = field(default_factory=dict)
    """Where an answer leads to, by its status."""


_VERIFY_IT = {"operationId": "verify", "requestBody": {"personId": "$response.body#/personId"}}
_INDEX_IT = {
    "operationId": "create-index",
    "requestBody": {"imageKey": "$response.body#/imageKey"},
}
_GO_ON = {
    "operationId": "create-index",
    "requestBody": {"nextToken": "$response.body#/nextToken"},
}

OPERATIONS = (
    Operation(
        path="/register",
        summary="Register a photograph of a person",
        description=(
            "With a photograph: it is stored if it shows exactly one usable face, which is nobody"
            " else's; soon afterwards the person is recognised. The same request again changes"
            " nothing. Without one: the answer says where and how one can be uploaded."
        ),
        asks=RegisterRequest,
        questions={
            "with a photograph": {"name": "Ada Lovelace", "personId": "ada", "image": IMAGE},
            "to upload one": {"name": "Ada Lovelace", "contentType": "image/png"},
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
                        face=Face(
                            BOX,
                            confidence=99.98,
                            quality=Quality(brightness=78.1, sharpness=92.2),
                            pose=Pose(roll=-1.4, yaw=6.2, pitch=2.9),
                        ),
                    )
                },
            ),
            201: (
                "The photograph is registered, or may be uploaded.",
                {
                    "registered": Registered(
                        person_id="ada",
                        name="Ada Lovelace",
                        image_key=KEY,
                        status="registered",
                        face=Face(
                            BOX,
                            confidence=99.98,
                            quality=Quality(brightness=78.1, sharpness=92.2),
                            pose=Pose(roll=-1.4, yaw=6.2, pitch=2.9),
                        ),
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
            *PHOTOGRAPH,
            errors.SeveralFaces("2 faces are in the photograph. Take one with only this person."),
            errors.PoorQuality("The face is too dark and too blurred."),
            errors.FaceRegisteredToAnotherPerson(
                "This face is registered to another person. To add a photograph of that person,"
                " send their personId.",
                person_id="grace",
            ),
        ),
        links={
            200: {"is it this person": _VERIFY_IT, "index it": _INDEX_IT},
            201: {"is it this person": _VERIFY_IT, "index it": _INDEX_IT},
        },
    ),
    Operation(
        path="/create-index",
        summary="Bring the index in line with the photographs",
        description=(
            "Indexes the photographs that are not indexed, and forgets what is gone: all, those of"
            " a person, or one. What does not fit into 20 seconds is gone on with by sending"
            " `nextToken` back, with the same other fields."
        ),
        asks=CreateIndexRequest,
        questions={
            "everything": {},
            "a person": {"personId": "ada"},
            "a photograph": {"imageKey": KEY},
            "go on": {"nextToken": "eyJwaGFzZSI6InJlY29yZHMiLCJhZnRlciI6bnVsbH0="},
            "repair": {"repair": True},
        },
        answer=IndexReport,
        answers={
            200: (
                "What was done.",
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
        links={200: {"go on": _GO_ON}},
    ),
    Operation(
        path="/verify",
        summary="Say whose face a photograph shows",
        description=(
            "Without `personId`: who is it? With one: is it this person? An unknown face is no"
            " error. A stage may hide who is registered (`HIDE_UNKNOWN_PERSONS`): then an unknown"
            " person reads like a wrong face, and `threshold` cannot be lowered."
        ),
        asks=VerifyRequest,
        questions={
            "who is it": {"image": IMAGE},
            "is it this person": {"image": IMAGE, "personId": "ada", "threshold": 99},
        },
        answer=Verification,
        answers={
            200: (
                "Somebody is recognised, or nobody.",
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
        problems=(*PHOTOGRAPH, errors.PersonUnknown("Nobody is registered under this personId.")),
    ),
)

SECURITY_SCHEMES: Json = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "Where the stage has `AUTH=api-key`, which is what a deploy gives it.",
    },
    "userPool": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "A token of the stage's Cognito user pool, where it has `AUTH=cognito`.",
    },
    "awsSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4, where the stage has `AUTH=iam`.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
}
"""What API Gateway asks of callers; `make run` asks nothing."""


def document() -> Json:
    """Describe the whole API."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    kinds = [ProblemDetails, *(k for o in OPERATIONS for k in (o.asks, o.answer))]
    _, schemas = msgspec.json.schema_components(
        kinds, schema_hook=_photograph, ref_template="#/components/schemas/{name}"
    )
    described: Json = _portable(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Facial recognition",
                "version": project["version"],
                "description": DESCRIPTION.strip(),
                "license": {"name": project["license"], "identifier": project["license"]},
            },
            "servers": [
                {"url": "http://127.0.0.1:8000", "description": "make run"},
                {
                    "url": "https://{api}.execute-api.{region}.amazonaws.com/prod",
                    "description": "chalice deploy",
                    "variables": {"api": {"default": "api"}, "region": {"default": "us-east-1"}},
                },
            ],
            "security": [*({name: []} for name in SECURITY_SCHEMES), {}],
            "paths": {o.path: {"post": _operation(o, schemas)} for o in OPERATIONS},
            "components": {
                "schemas": schemas,
                "headers": {**HEADERS, "Retry-After": RETRY_AFTER},
                "securitySchemes": SECURITY_SCHEMES,
            },
        }
    )
    return described


def _operation(operation: Operation, schemas: Json) -> Json:
    """Describe a route."""
    schema = schemas[operation.asks.__name__]
    responses: Json = {}
    for status, (meaning, answers) in operation.answers.items():
        responses[str(status)] = {
            "description": meaning,
            "headers": _headers(HEADERS),
            "content": {
                JSON: {
                    "schema": {"$ref": f"#/components/schemas/{operation.answer.__name__}"},
                    "examples": _examples(answers),
                }
            },
            "links": operation.links.get(status, {}),
        }
    problems = sorted((*ANY_BODY, *operation.problems), key=_status)
    for status, same in groupby(problems, _status):
        responses[str(status)] = _problem_response(list(same))
    described: Json = {
        "operationId": operation.path.strip("/"),
        "summary": operation.summary,
        "description": operation.description,
        "requestBody": {
            "required": bool(schema["required"]),
            "content": {JSON: _json_body(operation)},
        },
        "responses": responses,
    }
    if "image" in schema["properties"]:
        described["parameters"] = [
            {"name": name, "in": "query", "description": "Beside a raw photograph.", "schema": text}
            for name, text in _as_text(schema["properties"]).items()
            if name != "contentType"  # which says of what kind a photograph will be
        ]
        described["requestBody"]["content"] |= {kind: {} for kind in images.EXTENSIONS}
        described["requestBody"]["content"][FORM] = _form_body(schema)
    return described


def _json_body(operation: Operation) -> Json:
    return {
        "schema": {"$ref": f"#/components/schemas/{operation.asks.__name__}"},
        "examples": _examples(operation.questions),
    }


def _form_body(schema: Json) -> Json:
    photograph = {"description": "The file.", "contentMediaType": "application/octet-stream"}
    return {
        "schema": {
            "type": "object",
            "properties": {**_as_text(schema["properties"]), "image": photograph},
            "required": schema["required"],
            "additionalProperties": False,
        },
        "encoding": {"image": {"contentType": ", ".join(images.EXTENSIONS)}},
    }


def _as_text(properties: Json) -> Json:
    """Return the schemas of fields where they stand in a query or a form: without null."""
    return {
        name: schema["anyOf"][0] if "anyOf" in schema else schema
        for name, schema in properties.items()
        if name != "image"
    }


def _problem_response(problems: list[Problem]) -> Json:
    codes = [problem.code for problem in problems]
    headers = dict(HEADERS)
    if all(problem.retry_after for problem in problems):
        headers["Retry-After"] = RETRY_AFTER
    return {
        "description": "; ".join(f"`{problem.code}`: {problem.title}" for problem in problems),
        "headers": _headers(headers),
        "content": {
            PROBLEM_JSON: {
                "schema": {
                    "allOf": [{"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}],
                    "properties": {"code": {"enum": codes}},
                },
                "examples": _examples({p.code: problem_details(p, REQUEST_ID) for p in problems}),
            }
        },
    }


def _headers(headers: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _examples(messages: Json) -> Json:
    return {name: {"value": msgspec.to_builtins(message)} for name, message in messages.items()}


def _status(problem: Problem) -> int:
    return int(problem.status)


def _photograph(kind: type) -> Json:
    if kind is not Photograph:
        raise NotImplementedError(kind)
    return {
        "type": "string",
        "contentEncoding": "base64",
        "description": "A JPEG or PNG in base64, which may be wrapped, or as a `data:` URL.",
    }


def _portable(schema: Any) -> Any:
    r"""Write what Python says in the same way wherever it is read.

    Its ``\Z`` is ECMAScript's ``$``; docstrings are indented before Python 3.13 only.
    """
    if isinstance(schema, dict):
        return {name: _portable(value) for name, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_portable(value) for value in schema]
    return cleandoc(schema).replace(r"\Z", "$") if isinstance(schema, str) else schema


def page(described: Json) -> str:
    """Return an HTML page that shows the document by itself, from a folder or a server."""
    # A page from a folder may not fetch a file beside it, so the document is a part of it.
    inline = json.dumps(described, ensure_ascii=False).replace("</", "<\\/")
    return f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none';
      script-src 'self' file: 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:;
      worker-src blob:">
    <title>{described["info"]["title"]}</title>
    <style>body {{ margin: 0 }}</style>
  </head>
  <body>
    <!-- redoc.standalone.js is bundles/redoc.standalone.js of redoc 2.5.4 from npm. -->
    <div id="api"></div>
    <script src="redoc.standalone.js"></script>
    <script>
      Redoc.init({inline}, {{}}, document.getElementById("api"));
    </script>
  </body>
</html>
"""


def files() -> dict[Path, str]:
    """Return what is generated, by where it belongs."""
    described = document()
    text = json.dumps(described, ensure_ascii=False, indent=2) + "\n"
    return {DOCUMENT: text, PAGE: page(described)}


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
