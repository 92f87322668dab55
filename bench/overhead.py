"""Measure the time that /verify takes in addition to its calls to AWS.

    python -m bench.overhead [--rounds N]

The benchmark passes each request to Chalice in one process, as Lambda does: in turn to ``/verify``
and to a bare route, which only extracts the bytes of the photograph from the same body. The calls
to AWS are answered immediately, from memory, so only the application is measured.
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
MAX_RATIO = 1.5
"""Maximum time of /verify, as a multiple of the bare route's."""

Event = dict[str, Any]


def bare_route() -> Chalice:
    """Return an application that uses only Chalice and the standard library."""
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
    """Return a JPEG of noise with about ``size`` bytes."""
    side = int((size / 1.05) ** 0.5)
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    for quality in range(95, 5, -5):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "JPEG", quality=quality)
        if file.tell() <= size:
            break
    return file.getvalue()


def event(content_type: str, body: str, *, is_base64: bool) -> Event:
    """Return the event that API Gateway sends to Lambda."""
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
    """Return the two measured requests for a photograph: its raw bytes, and base64 in JSON."""
    encoded = base64.b64encode(content).decode()
    return {
        "raw": event("image/jpeg", encoded, is_base64=True),
        "base64": event("application/json", json.dumps({"image": encoded}), is_base64=False),
    }


class FakeAWS:
    """A client that answers from memory as Rekognition and DynamoDB do for a recognised person."""

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
        """Return one matching face."""
        return self._found

    def batch_get_item(self, **request: Any) -> Any:
        """Return the record of that face."""
        return {"Responses": {name: [self._item] for name in request["RequestItems"]}}


def time_calls(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Call functions in turn, so that a busy machine slows all alike.

    Returns:
        The seconds of each call, in the order of the rounds.
    """
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
    parser.add_argument(
        "--rounds", type=int, default=200, help="repetitions of each request (default: 200)"
    )
    rounds = parser.parse_args().rounds
    os.environ["METRICS"] = "bench"  # deployed functions write metrics, so do it here as well
    with redirect_stdout(io.StringIO()):  # the application's logger keeps writing to this stream
        service = importlib.import_module("app")
    aws = FakeAWS()
    service.faces._client = service.records._client = lambda: aws
    bare, context = bare_route(), SimpleNamespace(aws_request_id="id")
    rows, exceeded = [["", "bytes", "bare ms", "verify ms", "ratio"]], False
    for size, size_in_bytes in SIZES.items():
        content = photograph(size_in_bytes)
        for kind, request in events(content).items():
            answer = service.app(request, context)
            assert json.loads(answer["body"])["verified"], answer
            calls = {"bare": partial(bare, request, context)}
            calls["verify"] = partial(service.app, request, context)
            seconds = time_calls(calls, rounds)
            ratios = [v / b for v, b in zip(seconds["verify"], seconds["bare"], strict=True)]
            ratio = statistics.median(ratios)
            exceeded = exceeded or ratio > MAX_RATIO
            medians = [f"{statistics.median(seconds[n]) * 1000:.2f}" for n in ("bare", "verify")]
            rows.append([f"{size} {kind}", str(len(content)), *medians, f"{ratio:.2f}"])
    print_table(rows, "overhead")
    print(f"limit of the ratio: {MAX_RATIO}, {'exceeded' if exceeded else 'met'}")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
