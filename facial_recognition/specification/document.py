"""The OpenAPI 3.1 document of the API, generated from the types of its messages."""

import tomllib
from collections.abc import Iterable
from inspect import cleandoc
from itertools import groupby
from typing import Any

import msgspec

from chalicelib import images
from chalicelib.errors import Problem
from chalicelib.http import FORM, JSON, MAX_BODY_BYTES, PROBLEM_JSON, problem_details
from chalicelib.images import Photograph
from chalicelib.messages import ProblemDetails
from facial_recognition.checkout import ROOT
from facial_recognition.specification.examples import (
    ANY_ROUTE,
    OPERATIONS,
    REQUEST_ID,
    Json,
    Operation,
)

DESCRIPTION = f"""
Register photographs of people, and verify later photographs against them.

A photograph is a JPEG or a PNG; its content decides, not its name or type. Send it in one of three
ways: in the field `image` of a JSON body, as base64 or as a `data:` URL; as the body itself, with
the other fields in the query; or in the field `image` of a form, with the other fields beside it. A
photograph may have up to {images.MAX_INLINE_BYTES // 1024**2} MiB and
{images.MAX_PIXELS // 10**6} megapixels, and needs at least {images.MIN_SIDE} pixels in width and
height. A whole request may have up to {MAX_BODY_BYTES // 1024**2} MiB. To register a larger
photograph, up to {images.MAX_STORED_BYTES // 1024**2} MiB, leave it out of the registration: the
response gives an address to upload it to.

The API refuses unknown fields and repeated fields. It reads a body without a `Content-Type` as
JSON, and JSON as UTF-8. It ignores `Accept`: every response is JSON.

Errors are problem details (RFC 9457) with a `code` for programs, a `detail` for people, and the
`requestId` of the request in the logs. Other paths and methods get problem details as well:
`not_found` (404) and `method_not_allowed` (405, with `Allow`).
"""

HEADERS: Json = {
    "X-Request-Id": {
        "description": "The id of the request in the logs.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    "X-Content-Type-Options": {"required": True, "schema": {"const": "nosniff"}},
    "Access-Control-Allow-Origin": {
        "description": "The origin whose pages may call the API, or `*` for every origin.",
        "required": True,
        "schema": {"type": "string"},
    },
}
RETRY_AFTER: Json = {
    "description": "Seconds to wait before the next try.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}

SECURITY_SCHEMES: Json = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "An API key, in stages with `AUTH=api-key`, the default of a deploy.",
    },
    "userPool": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "A token of the Cognito user pool, in stages with `AUTH=cognito`.",
    },
    "awsSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4, in stages with `AUTH=iam`.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
}
"""How API Gateway authenticates callers. `make run` authenticates nobody."""


def document() -> Json:
    """Return the OpenAPI document of the whole API."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    kinds = [ProblemDetails, *(k for o in OPERATIONS for k in (o.request, o.answer))]
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
    """Return the OpenAPI operation of a route."""
    schema = schemas[operation.request.__name__]
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
    problems = sorted((*ANY_ROUTE, *operation.problems), key=_status)
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
            {
                "name": name,
                "in": "query",
                "description": "With a photograph as the body.",
                "schema": text,
            }
            for name, text in _as_text(schema["properties"]).items()
            if name != "contentType"  # it announces the type of a later upload
        ]
        described["requestBody"]["content"] |= {kind: {} for kind in images.EXTENSIONS}
        described["requestBody"]["content"][FORM] = _form_body(schema)
    return described


def _json_body(operation: Operation) -> Json:
    return {
        "schema": {"$ref": f"#/components/schemas/{operation.request.__name__}"},
        "examples": _examples(operation.request_examples),
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
    """Return the schemas of fields in a query or a form, which cannot hold null."""
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
        "description": "A JPEG or PNG in base64, with or without line breaks, or as a `data:` URL.",
    }


def _portable(schema: Any) -> Any:
    r"""Return a schema that is the same on every Python, with regular expressions of ECMAScript.

    ECMAScript writes Python's ``\Z`` as ``$``. Before Python 3.13, docstrings are indented.
    """
    if isinstance(schema, dict):
        return {name: _portable(value) for name, value in schema.items()}
    if isinstance(schema, list | tuple):
        return [_portable(value) for value in schema]
    return cleandoc(schema).replace(r"\Z", "$") if isinstance(schema, str) else schema
