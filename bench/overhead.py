"""How much does /verify add around its calls to AWS?

Each request is handed to Chalice in one process, as Lambda would hand it over, in turn to
``/verify`` and to a bare route that only takes the photograph's bytes out of the same body. The
calls to AWS are answered at once, from memory: what is measured is the application.

    python -m bench.overhead [--rounds N]
"""

import argparse
import base64
import importlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from chalice.app import Chalice, Response
from PIL import Image

from bench.tables import print_table

SIZES = {"50 KB": 50_000, "500 KB": 500_000, "4 MB": 4_000_000}
MOST = 1.5
"""Times what the bare route takes."""

Event = dict[str, Any]


def bare_route() -> Chalice:
    """Return an application with nothing in it but Chalice and the standard library."""
    app = Chalice(app_name="bare")

    @app.route("/verify", methods=["POST"], content_types=["*/*"])
    def read() -> Response:
        request = app.current_request
        assert request is not None
        photograph = request.raw_body
        if request.headers["content-type"] == "application/json":
            photograph = base64.b64decode(request.json_body["image"])
        return Response(json.dumps({"size": len(photograph)}))

    return app


def photograph(size: int) -> bytes:
    """Make a JPEG of noise that has about so many bytes."""
    side = int((size / 1.05) ** 0.5)
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    for quality in range(95, 5, -5):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "JPEG", quality=quality)
        if file.tell() <= size:
            break
    return file.getvalue()


def event(content_type: str, body: str, *, is_base64: bool) -> Event:
    """Make what API Gateway hands to Lambda."""
    return {
        "requestContext": {"httpMethod": "POST", "resourcePath": "/verify", "requestId": "id"},
        "headers": {"content-type": content_type},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": body,
        "isBase64Encoded": is_base64,
    }


def events(content: bytes) -> dict[str, Event]:
    """Return a photograph as the two kinds of request that are measured."""
    encoded = base64.b64encode(content).decode()
    return {
        "raw": event("image/jpeg", encoded, is_base64=True),
        "base64": event("application/json", json.dumps({"image": encoded}), is_base64=False),
    }


class Aws:
    """Answers of Rekognition and DynamoDB to a verify that recognises somebody, from memory."""

    def __init__(self) -> None:
        box = {"Left": 0.3, "Top": 0.1, "Width": 0.4, "Height": 0.5}
        face = {"FaceId": "face", "ExternalImageId": "ada:0"}
        found: dict[str, Any] = {
            "SearchedFaceBoundingBox": box,
            "SearchedFaceConfidence": 99.9,
            "FaceMatches": [{"Similarity": 99.9, "Face": face}],
        }
        number: Any = {"N": "0.5"}
        item: dict[str, Any] = {
            **{name: {"S": "x"} for name in ("name", "imageKey", "indexedAt", "faceModelVersion")},
            "faceId": {"S": "face"},
            "personId": {"S": "ada"},
            "boundingBox": {"M": dict.fromkeys(("left", "top", "width", "height"), number)},
            "confidence": number,
            "quality": {"M": dict.fromkeys(("brightness", "sharpness"), number)},
        }
        self._found, self._item = found, item

    def search_faces_by_image(self, **_: Any) -> Any:
        """Find one face."""
        return self._found

    def batch_get_item(self, **request: Any) -> Any:
        """Read the record of that face."""
        return {"Responses": {name: [self._item] for name in request["RequestItems"]}}


def measured(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Call in turn, so that whatever else the machine does meets all alike; return seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="of each request (200)")
    rounds = parser.parse_args().rounds
    os.environ["METRICS"] = "bench"  # as where it is deployed
    with redirect_stdout(io.StringIO()):  # to which logs are written from now on
        service = importlib.import_module("app")
    aws = Aws()
    service.faces._client = service.records._client = lambda: aws
    bare, context = bare_route(), SimpleNamespace(aws_request_id="id")
    rows, missed = [["", "bytes", "bare ms", "verify ms", "ratio"]], False
    for size, wanted in SIZES.items():
        content = photograph(wanted)
        for kind, asked in events(content).items():
            answer = service.app(asked, context)
            assert json.loads(answer["body"])["verified"], answer
            calls = {"bare": partial(bare, asked, context)}
            calls["verify"] = partial(service.app, asked, context)
            seconds = measured(calls, rounds)
            ratios = [v / b for v, b in zip(seconds["verify"], seconds["bare"], strict=True)]
            ratio = statistics.median(ratios)
            missed = missed or ratio > MOST
            medians = [f"{statistics.median(seconds[n]) * 1000:.2f}" for n in ("bare", "verify")]
            rows.append([f"{size} {kind}", str(len(content)), *medians, f"{ratio:.2f}"])
    print_table(rows, "overhead")
    print(f"at most {MOST} is wanted: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
