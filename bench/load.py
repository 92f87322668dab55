"""Is everything indexed when much comes at once, or was there before?

    python -m bench.load --photos DIR                      (DIR holds a folder per person)

Uploads many photographs as fast as the client can while Rekognition admits 50 calls a second and
throttles one call in ten; then lets ``/create-index`` index as many as asked for that were in the
bucket before there were any event handlers. Photographs of the same people are repeated, encoded
anew so that no two are the same file. Beside it stands what the engine alone does with the same
photographs, by IndexFaces from as many threads as the service has workers.
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
ADMITTED = 50
THROTTLED = 10
UPLOADERS = 8
WORKERS = 2


def main() -> int:
    """Measure, check, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=people_folder, required=True, help="a folder per person")
    parser.add_argument("--uploads", type=int, default=1000, help="photographs uploaded (1000)")
    parser.add_argument("--existing", type=int, default=5000, help="there before (5000)")
    options = parser.parse_args()
    logging.getLogger("localaws").setLevel(logging.ERROR)  # that functions fail is meant here
    os.environ["INDEX_RATE"] = "1000"  # not the pace is measured, but what can be done
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
    rows = [["", "photographs per second", "to IndexFaces alone"]]
    rows += [[name, f"{rate:.1f}", f"{rate / alone:.2f}"] for name, rate in rates.items()]
    print()
    print_table(rows, "bulk")
    return 0


def photographs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give keys and photographs without end: those in the folder, then again, encoded anew."""
    paths = sorted(folder.glob("*/*.jpg"))
    for turn in itertools.count():
        for path in paths:
            file = io.BytesIO()
            # Another quality and another edge each time: another file, hardly another picture.
            picture = Image.open(path)
            box = (turn // 10, 0, picture.width, picture.height)
            picture.crop(box).save(file, "JPEG", quality=95 - turn % 10)
            yield f"faces/{path.parent.name}/{path.stem}-{turn}.jpg", file.getvalue()


def engine_alone(some: list[tuple[str, bytes]]) -> float:
    """Index photographs by nothing but IndexFaces; return photographs per second."""
    rekognition = boto3.client("rekognition")
    rekognition.create_collection(CollectionId="alone")

    def index(image: bytes) -> None:
        rekognition.index_faces(CollectionId="alone", Image={"Bytes": image}, MaxFaces=1)

    index(some[0][1])  # which loads the models
    started = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(index, (image for _, image in some)))
    seconds = time.perf_counter() - started
    rekognition.delete_collection(CollectionId="alone")
    return len(some) / seconds


def uploads(aws: EmbeddedAWS, folder: Path, count: int) -> float:
    """Upload photographs while Rekognition is throttled; check that all are indexed, once.

    Returns:
        Photographs per second.
    """
    some = list(itertools.islice(photographs(folder), count))
    for operation in ("IndexFaces", "ListFaces", "DeleteFaces"):
        aws.faults.script(
            Fault(operation, "throttle", caller="worker", rate=ADMITTED),
            Fault(operation, "throttle", caller="worker", every=THROTTLED, times=0),
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
    """Let /create-index index what was there before; check that all are indexed, once.

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
    memory = max(map(resident, project.workers.pids()))
    healthy = time.perf_counter()
    again = create_index(aws, project, {})
    healthy = time.perf_counter() - healthy
    print(
        f"{count} photographs there before: /create-index indexed {done} in {len(calls)} calls,"
        f" {seconds:.1f} s"
    )
    print(f"  {indexed}")
    print(f"  longest call {max(calls):.1f} s; peak memory of the function {memory:.0f} MB")
    print(f"  again: {again['unchanged']} unchanged in {healthy:.1f} s")
    return count / seconds


def put(some: Any) -> None:
    """Put photographs into the bucket as fast as the client can."""
    s3, bucket = boto3.client("s3"), Settings().faces_bucket
    with ThreadPoolExecutor(UPLOADERS) as threads:
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
    """Check that bucket, table and collection agree; say how many there are.

    Raises:
        AssertionError: they do not.
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


def resident(pid: int) -> float:
    """Return the peak resident memory of a process in MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
