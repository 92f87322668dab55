"""Measure bulk registration, and check that every photograph is indexed exactly once.

    python -m bench.load --photos DIR                      (DIR holds one folder per person)

The benchmark has three parts:

- IndexFaces alone, called from as many threads as the service has workers. This is the limit.
- Uploads to S3, as fast as the client can, while Rekognition allows 50 calls per second and
  throttles one call in ten.
- ``/create-index`` of photographs that were in the bucket before there were event handlers.

The photographs in the folder are used repeatedly. Each time, they are encoded differently, so that
no two files are the same.
"""

import argparse
import io
import itertools
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from chalice.local import LambdaEventConverter, RouteMatcher
from PIL import Image

from bench.photos import people_folder
from bench.tables import print_table
from chalicelib.settings import Settings
from facial_recognition.local.project import Project, install, set_up
from facial_recognition.local.workers import APP
from localaws.middleware.faults import Fault
from localaws.server import EmbeddedAWS

ROOT = Path(__file__).parent.parent
CALLS_PER_SECOND = 50
"""The rate of calls above which Rekognition throttles."""
THROTTLE_EVERY = 10
"""Rekognition also throttles one call in this many."""
UPLOAD_THREADS = 8
WORKERS = 2
"""Number of worker processes of the service."""


def main() -> int:
    """Measure, check and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photos", type=people_folder, required=True, help="folder with one folder per person"
    )
    parser.add_argument(
        "--uploads", type=int, default=1000, help="photographs to upload (default: 1000)"
    )
    parser.add_argument(
        "--existing", type=int, default=5000, help="photographs to index later (default: 5000)"
    )
    options = parser.parse_args()
    # Functions fail on purpose here, so do not log warnings about them.
    logging.getLogger("localaws").setLevel(logging.ERROR)
    os.environ["INDEX_RATE"] = "1000"  # a limit that is never reached
    with EmbeddedAWS() as aws:
        project = install(aws, str(ROOT))
        alone = engine_alone(list(itertools.islice(photographs(options.photos), 200)))
        rates = {f"IndexFaces alone, {WORKERS} threads": alone}
        if options.uploads:
            rates[f"{options.uploads} uploads"] = uploads(aws, options.photos, options.uploads)
        if options.existing:
            aws.reset()
            set_up(project)
            name = f"/create-index of {options.existing}"
            rates[name] = existing(aws, project, options.photos, options.existing)
    rows = [["", "photographs per second", "vs. IndexFaces alone"]]
    rows += [[name, f"{rate:.1f}", f"{rate / alone:.2f}"] for name, rate in rates.items()]
    print()
    print_table(rows, "bulk")
    return 0


def photographs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield keys and photographs endlessly: those in the folder, repeated in other encodings."""
    paths = sorted(folder.glob("*/*.jpg"))
    for turn in itertools.count():
        for path in paths:
            file = io.BytesIO()
            # A different quality and edge give a different file of almost the same picture.
            picture = Image.open(path)
            box = (turn // 10, 0, picture.width, picture.height)
            picture.crop(box).save(file, "JPEG", quality=95 - turn % 10)
            yield f"faces/{path.parent.name}/{path.stem}-{turn}.jpg", file.getvalue()


def engine_alone(some: list[tuple[str, bytes]]) -> float:
    """Index photographs with IndexFaces only; return photographs per second."""
    rekognition = boto3.client("rekognition")
    rekognition.create_collection(CollectionId="alone")

    def index(image: bytes) -> None:
        rekognition.index_faces(CollectionId="alone", Image={"Bytes": image}, MaxFaces=1)

    index(some[0][1])  # loads the models
    started = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(index, (image for _, image in some)))
    seconds = time.perf_counter() - started
    rekognition.delete_collection(CollectionId="alone")
    return len(some) / seconds


def uploads(aws: EmbeddedAWS, folder: Path, count: int) -> float:
    """Upload photographs while Rekognition throttles; check that each is indexed exactly once.

    Returns:
        Photographs per second.
    """
    some = list(itertools.islice(photographs(folder), count))
    for operation in ("IndexFaces", "ListFaces", "DeleteFaces"):
        aws.faults.script(
            Fault(operation, "throttle", caller="worker", rate=CALLS_PER_SECOND),
            Fault(operation, "throttle", caller="worker", every=THROTTLE_EVERY, times=0),
        )
    started = time.perf_counter()
    put(some)
    uploaded = time.perf_counter() - started
    aws.functions.drain(timeout=3600)
    seconds = time.perf_counter() - started
    throttled = aws.faults.met["throttle"]
    aws.faults.clear()
    indexed = check()
    print(
        f"{count} uploads in {uploaded:.1f} s ({count / uploaded:.0f} per second), all indexed"
        f" after {seconds:.1f} s; {throttled} calls throttled"
    )
    print(f"  {indexed}")
    return count / seconds


def existing(aws: EmbeddedAWS, project: Project, folder: Path, count: int) -> float:
    """Index existing photographs with /create-index; check that each is indexed exactly once.

    Returns:
        Photographs per second.
    """
    boto3.client("s3").put_bucket_notification_configuration(
        Bucket=Settings().faces_bucket, NotificationConfiguration={}
    )
    put(itertools.islice(photographs(folder), count))
    calls: list[float] = []
    token, done = None, 0
    started = time.perf_counter()
    while not calls or token:
        call_started = time.perf_counter()
        report = create_index(aws, project, {"nextToken": token} if token else {})
        calls.append(time.perf_counter() - call_started)
        done += len(report["indexed"])
        token = report["nextToken"]
    seconds = time.perf_counter() - started
    indexed = check()
    memory = max(map(peak_megabytes, project.workers.pids()))
    repeat_started = time.perf_counter()
    repeated = create_index(aws, project, {})
    repeat_seconds = time.perf_counter() - repeat_started
    print(
        f"{count} existing photographs: /create-index indexed {done} in {len(calls)} calls,"
        f" {seconds:.1f} s"
    )
    print(f"  {indexed}")
    print(f"  longest call {max(calls):.1f} s; peak memory of the function {memory:.0f} MB")
    print(f"  repeated: {repeated['unchanged']} unchanged in {repeat_seconds:.1f} s")
    return count / seconds


def put(some: Any) -> None:
    """Upload photographs to the bucket as fast as the client can."""
    s3, bucket = boto3.client("s3"), Settings().faces_bucket
    with ThreadPoolExecutor(UPLOAD_THREADS) as threads:
        list(threads.map(lambda p: s3.put_object(Bucket=bucket, Key=p[0], Body=p[1]), some))


def create_index(aws: EmbeddedAWS, project: Project, body: dict[str, Any]) -> dict[str, Any]:
    """Call the API's function in a worker, as API Gateway does."""
    routes = RouteMatcher(list(project.app.routes))
    event = LambdaEventConverter(routes).create_lambda_event(
        "POST", "/create-index", {"content-type": "application/json"}
    )
    event["body"] = json.dumps(body)
    answer: Any = aws.functions.call(project.function_name(APP), event)
    report: dict[str, Any] = json.loads(answer["body"])
    return report


def check() -> str:
    """Check that bucket, table and collection agree, and return their sizes as text.

    Raises:
        AssertionError: they disagree.
    """
    settings = Settings()
    s3, rekognition = boto3.client("s3"), boto3.client("rekognition")
    table = boto3.client("dynamodb").get_paginator("scan")
    sqs = boto3.client("sqs")
    keys = {
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=settings.faces_bucket)
        for item in page.get("Contents", [])
    }
    faces = [
        face["FaceId"]
        for page in rekognition.get_paginator("list_faces").paginate(
            CollectionId=settings.faces_collection
        )
        for face in page["Faces"]
    ]
    items = [i for page in table.paginate(TableName=settings.faces_table) for i in page["Items"]]
    photographs = {
        item["faceId"]["S"].removeprefix("image#"): item["status"]["S"]
        for item in items
        if "status" in item
    }
    seen = {item["faceId"]["S"]: item["imageKey"]["S"] for item in items if "imageKey" in item}
    indexed = {key for key, status in photographs.items() if status == "indexed"}
    assert set(photographs) == keys
    assert sorted(seen) == sorted(faces)
    assert sorted(seen.values()) == sorted(indexed)
    assert "registered" not in photographs.values()
    url = sqs.get_queue_url(QueueName=settings.failed_events_queue)["QueueUrl"]
    waiting = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]["ApproximateNumberOfMessages"]
    assert waiting == "0"
    rejected = len(keys) - len(indexed)
    return (
        f"{len(keys)} objects, {len(indexed)} indexed, {rejected} rejected, {len(faces)} faces,"
        f" {len(seen)} face records, {waiting} failed events"
    )


def peak_megabytes(pid: int) -> float:
    """Return the peak resident memory of a process in MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
