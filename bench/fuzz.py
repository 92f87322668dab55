"""Send mutated requests to all ports of the running service, and see what it answers and needs.

    python -m bench.fuzz --minutes 20

The service runs in a process of its own. Valid requests to its API, its pages and the services of
its AWS are changed at random, byte by byte or part by part, and sent over raw sockets: some changed
after they were signed, others before, so that they get beyond the check of the signature. An answer
with status 500 is an error of the service; 501 and 503 are refusals. At the end, the service must
still verify a photograph, and its memory must be below 1 GB.
"""

import argparse
import base64
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import requests
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest

from bench.running import BUCKET, COLLECTION, TABLE, RunningService, memory
from bench.tables import print_table
from sample_photographs import photograph, resized

WORKERS = 8
MOST_MEGABYTES = 1000
JPEG = {"Content-Type": "image/jpeg"}
INTERESTING = (b"", b"\0", b"\xff" * 8, b"%00", b"../", b"{", b"[" * 3000, b"1e400", b"-1", b"\r\n")


@dataclass(frozen=True)
class Sample:
    """A valid request."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    service: str = ""
    """The service of AWS that it is signed for; empty for the API and the pages."""


@dataclass
class Found:
    """What the service has answered."""

    statuses: Counter[str] = field(default_factory=Counter)
    """Answers by port and status; without a status, the connection was closed."""
    failures: dict[str, bytes] = field(default_factory=dict)
    """The first request of each kind that was answered with 500."""
    peak: float = 0.0

    def count(self, begin: str) -> int:
        """Return the number of answers whose port and status begin so."""
        return sum(n for status, n in self.statuses.items() if status.startswith(begin))


def samples() -> list[Sample]:
    """Return valid requests for all ports."""
    image = resized(photograph("obama.jpg"), 300)
    encoded = base64.b64encode(image).decode()
    body = {"name": "Ada", "personId": "ada", "image": encoded}
    api = [
        Sample("register", "POST", "/register", _json(), json.dumps(body).encode()),
        Sample("register bytes", "POST", "/register?name=Ada&personId=ada", JPEG, image),
        Sample("upload", "POST", "/register", _json(), b'{"name":"A","contentType":"image/png"}'),
        Sample("verify", "POST", "/verify", _json(), json.dumps({"image": encoded}).encode()),
        Sample("verify bytes", "POST", "/verify", JPEG, image),
        Sample("create-index", "POST", "/create-index", _json(), b'{"personId":"ada"}'),
        Sample("form", "POST", "/register", *_form({"name": "Ada"}, image)),
    ]
    pages = [
        Sample("page", "GET", "/", {}, b""),
        Sample("script", "GET", "/config.js", {}, b""),
    ]
    key = f"/{BUCKET}/fuzz/key.jpg"
    s3 = [
        Sample("put", "PUT", key, {**JPEG, "x-amz-meta-name": "Ada"}, image, "s3"),
        Sample("get", "GET", f"{key}?versionId=1", {"Range": "bytes=0-9"}, b"", "s3"),
        Sample("head", "HEAD", key, {"If-None-Match": "*"}, b"", "s3"),
        Sample("delete", "DELETE", key, {}, b"", "s3"),
        Sample("copy", "PUT", f"{key}2", {"x-amz-copy-source": key}, b"", "s3"),
        Sample("list", "GET", f"/{BUCKET}?list-type=2&prefix=fuzz&max-keys=9", {}, b"", "s3"),
        Sample("versions", "GET", f"/{BUCKET}?versions=&max-keys=9", {}, b"", "s3"),
        Sample("uploads", "POST", f"{key}?uploads=", {}, b"", "s3"),
        Sample("part", "PUT", f"{key}?partNumber=1&uploadId=abc", {}, image, "s3"),
        Sample("complete", "POST", f"{key}?uploadId=abc", {}, _PARTS, "s3"),
        Sample("deletes", "POST", f"/{BUCKET}?delete=", {}, _DELETE, "s3"),
        Sample("tags", "PUT", f"{key}?tagging=", {}, _TAGS, "s3"),
    ]
    item = {"TableName": TABLE, "Key": {"faceId": {"S": "fuzz"}}}
    values = {":t": {"S": "x"}, ":n": {"N": "1"}}
    update = item | {"UpdateExpression": "SET txt = :t, num = :n"}
    record = {"faceId": {"S": "fuzz"}, "num": {"N": "1"}, "list": {"L": [{"S": "a"}]}}
    calls = [
        ("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": TABLE, "Item": record}),
        ("dynamodb", "DynamoDB_20120810.GetItem", item),
        ("dynamodb", "DynamoDB_20120810.DeleteItem", item),
        ("dynamodb", "DynamoDB_20120810.Scan", {"TableName": TABLE, "Limit": 2}),
        (
            "dynamodb",
            "DynamoDB_20120810.UpdateItem",
            update | {"ExpressionAttributeValues": values},
        ),
        ("sqs", "AmazonSQS.ListQueues", {}),
        ("sqs", "AmazonSQS.CreateQueue", {"QueueName": "fuzz"}),
        ("rekognition", "RekognitionService.DetectFaces", {"Image": {"Bytes": encoded}}),
        (
            "rekognition",
            "RekognitionService.SearchFacesByImage",
            {"CollectionId": COLLECTION, "Image": {"Bytes": encoded}, "MaxFaces": 5},
        ),
        ("rekognition", "RekognitionService.ListFaces", {"CollectionId": COLLECTION}),
        (
            "rekognition",
            "RekognitionService.CreateUser",
            {"CollectionId": COLLECTION, "UserId": "u"},
        ),
        ("logs", "Logs_20140328.DescribeLogGroups", {"limit": 2}),
        ("logs", "Logs_20140328.CreateLogGroup", {"logGroupName": "fuzz"}),
        ("events", "AWSEvents.PutRule", {"Name": "fuzz", "ScheduleExpression": "rate(1 hour)"}),
        ("events", "AWSEvents.ListRules", {"Limit": 2}),
        ("tagging", "ResourceGroupsTaggingAPI_20170126.GetResources", {"ResourcesPerPage": 2}),
    ]
    forms = [
        ("sts", "2011-06-15", "GetCallerIdentity", {}),
        ("sts", "2011-06-15", "AssumeRole", {"RoleArn": _ROLE, "RoleSessionName": "fuzz"}),
        ("iam", "2010-05-08", "CreateRole", {"RoleName": "fuzz", "AssumeRolePolicyDocument": "{}"}),
        ("iam", "2010-05-08", "PutRolePolicy", _POLICY),
        ("iam", "2010-05-08", "ListRoles", {"MaxItems": "2"}),
        ("cloudformation", "2010-05-15", "DescribeStacks", {"StackName": "fuzz"}),
        ("cloudformation", "2010-05-15", "CreateStack", _STACK),
        ("cloudformation", "2010-05-15", "ValidateTemplate", {"TemplateBody": "{}"}),
        ("sns", "2010-03-31", "CreateTopic", {"Name": "fuzz"}),
        ("monitoring", "2010-08-01", "DescribeAlarms", {"MaxRecords": "2"}),
    ]
    function = json.dumps(
        {
            "FunctionName": "fuzz",
            "Runtime": "python3.11",
            "Handler": "app.handler",
            "Role": _ROLE,
            "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="},
        }
    ).encode()
    functions, mappings = "/2015-03-31/functions", "/2015-03-31/event-source-mappings"
    openapi = b'{"openapi":"3.0.1","info":{"title":"a","version":"1"},"paths":{"/a":{"get":{}}}}'
    rest = [
        Sample("function", "POST", functions, _json(), function, "lambda"),
        Sample("functions", "GET", f"{functions}?MaxItems=2", {}, b"", "lambda"),
        Sample("invoke", "POST", f"{functions}/fuzz/invocations", _json(), b"{}", "lambda"),
        Sample("mappings", "GET", f"{mappings}?MaxItems=2", {}, b"", "lambda"),
        Sample("import", "POST", "/restapis", _json(), openapi, "apigateway"),
        Sample("api keys", "GET", "/apikeys?limit=2", {}, b"", "apigateway"),
        Sample("api key", "POST", "/apikeys", _json(), b'{"name":"fuzz"}', "apigateway"),
        Sample("plan", "POST", "/usageplans", _json(), b'{"name":"fuzz"}', "apigateway"),
    ]
    aws = [*s3, *rest]
    aws += [
        Sample(
            action,
            "POST",
            "/",
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode({"Action": action, "Version": version, **members}).encode(),
            service,
        )
        for service, version, action, members in forms
    ]
    aws += [
        Sample(
            target,
            "POST",
            "/",
            {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target},
            json.dumps(members).encode(),
            service,
        )
        for service, target, members in calls
    ]
    control = Sample("faults", "GET", "/_localaws/faults", {}, b"", "localaws")
    return [*api, *pages, *aws, control]


_PARTS = (
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>1</ETag></Part>"
    b"</CompleteMultipartUpload>"
)
_DELETE = b"<Delete><Object><Key>fuzz/key.jpg</Key></Object></Delete>"
_ROLE = "arn:aws:iam::123456789012:role/fuzz"
_POLICY = {
    "RoleName": "fuzz",
    "PolicyName": "fuzz",
    "PolicyDocument": '{"Version":"2012-10-17","Statement":[]}',
}
_STACK = {
    "StackName": "fuzz",
    "TemplateBody": '{"Resources":{"Topic":{"Type":"AWS::SNS::Topic"}}}',
    "Tags.member.1.Key": "a",
    "Tags.member.1.Value": "b",
}
_TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"


def _json() -> dict[str, str]:
    return {"Content-Type": "application/json"}


def _form(fields: dict[str, str], image: bytes) -> tuple[dict[str, str], bytes]:
    request = requests.Request("POST", "http://x/", data=fields, files={"image": image}).prepare()
    assert isinstance(request.body, bytes)
    return {"Content-Type": str(request.headers["Content-Type"])}, request.body


class Fuzzer:
    """Sends mutated requests until a time; several may share what they find."""

    def __init__(self, service: RunningService, seed: str, found: Found) -> None:
        self._service = service
        self._random = random.Random(seed)
        self._found = found
        self._samples = samples()
        credentials = service.session.get_credentials()
        assert credentials is not None
        self._credentials = credentials

    def work(self, until: float) -> None:
        """Send requests until a time of ``time.monotonic``."""
        while time.monotonic() < until:
            sample = self._random.choice(self._samples)
            port = self._port(sample)
            sent = self._mutated(sample, port)
            status = exchange(port, sent)
            name = "AWS" if sample.service else "pages" if port == self._service.pages else "API"
            self._found.statuses[f"{name} {status}"] += 1
            if status == "500":
                self._found.failures.setdefault(f"{name} {sample.name}", sent)

    def _port(self, sample: Sample) -> str:
        service = self._service
        if sample.service:
            return service.aws
        return service.pages if sample.method == "GET" else service.api

    def _mutated(self, sample: Sample, port: str) -> bytes:
        chance = self._random
        body, path, headers = sample.body, sample.path, dict(sample.headers)
        if chance.random() < 0.7:
            body = self._change(body)
        if chance.random() < 0.3:
            path = "/" + self._text(self._change(path.encode()))[1:]
        if headers and chance.random() < 0.3:
            name = chance.choice(sorted(headers))
            headers[name] = self._text(self._change(headers[name].encode()))
        if sample.service and chance.random() < 0.9:
            headers = self._signed(sample, port, path, headers, body)
        headers.setdefault("Host", urlsplit(port).netloc)
        headers.setdefault("Content-Length", str(len(body)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{sample.method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace")
        return self._change(head + body) if chance.random() < 0.2 else head + body

    def _signed(
        self, sample: Sample, port: str, path: str, headers: dict[str, str], body: bytes
    ) -> dict[str, str]:
        request = AWSRequest(sample.method, f"{port}{path}", headers, body)
        signer = S3SigV4Auth if sample.service == "s3" else SigV4Auth
        try:
            signer(self._credentials, sample.service, "us-east-1").add_auth(request)
        except ValueError:  # no client could sign such an address
            return headers
        return dict(request.headers)

    def _change(self, data: bytes) -> bytes:
        """Return data with one to four changes at random places."""
        changed = bytearray(data)
        for _ in range(self._random.randint(1, 4)):
            begin = self._random.randint(0, len(changed))
            end = min(len(changed), begin + self._random.choice((0, 1, 4, 40)))
            kept = bytes(changed[begin:end])
            noise = self._random.randbytes(len(kept))
            changed[begin:end] = self._random.choice(
                (noise, self._random.choice(INTERESTING), kept * 3, b"")
            )
        return bytes(changed)

    def _text(self, data: bytes) -> str:
        """Return data as a part of a header, which cannot hold line ends or spaces."""
        kept = data.decode("latin-1")
        return "".join(c for c in kept if c not in "\r\n \0") or "/"


def exchange(url: str, sent: bytes) -> str:
    """Send bytes and return the status of the answer; empty if there was none."""
    where = urlsplit(url)
    try:
        with socket.create_connection((where.hostname or "", where.port or 0), 60) as stream:
            stream.sendall(sent)
            stream.shutdown(socket.SHUT_WR)
            received = b""
            while piece := stream.recv(65536):
                received = received or piece
    except TimeoutError:
        return "timeout"
    except OSError:
        return ""
    return received.split()[1].decode() if received.startswith(b"HTTP/1") else ""


def fuzz(service: RunningService, seconds: float, seed: int) -> Found:
    """Fuzz a service, and print a line each minute."""
    found = Found()
    until = time.monotonic() + seconds
    fuzzers = [Fuzzer(service, f"{seed} {number}", found) for number in range(WORKERS)]
    threads = [threading.Thread(target=fuzzer.work, args=(until,)) for fuzzer in fuzzers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(min(60.0, max(0.1, until - time.monotonic())))
        now = memory(service.pid)
        found.peak = max(found.peak, now)
        print(f"  {found.statuses.total()} requests, {now:.0f} MB", flush=True)
        for thread in threads[1:] if time.monotonic() >= until else []:
            thread.join()
    return found


def main() -> int:
    """Fuzz, and print what was found; return 1 if it is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="duration (default: 20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of chance")
    parser.add_argument("--failures", type=Path, help="folder for the requests answered with 500")
    options = parser.parse_args()
    print(f"{options.minutes:g} minutes, --seed {options.seed}", flush=True)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        log = opened.enter_context((folder / "log").open("w"))
        service = opened.enter_context(RunningService(folder / "data", log))
        begin = memory(service.pid)
        found = fuzz(service, options.minutes * 60, options.seed)
        end = memory(service.pid)
        image = resized(photograph("biden.jpg"), 300)
        answer = requests.post(f"{service.api}/verify", data=image, headers=JPEG, timeout=60)
    counts = {
        port: [
            sum(n for s, n in found.statuses.items() if s.startswith(f"{port} {c}")) for c in "2345"
        ]
        for port in ("API", "AWS", "pages")
    }
    rows = [["port", "2xx", "3xx", "4xx", "5xx", "no answer", "of these 500"]]
    for port, by_class in counts.items():
        every = sum(n for s, n in found.statuses.items() if s.startswith(f"{port} "))
        failed = found.statuses[f"{port} 500"]
        rows.append([port, *map(str, by_class), str(every - sum(by_class)), str(failed)])
    print()
    print_table(rows, "fuzz")
    print(
        f"\n{found.statuses.total()} requests; memory {begin:.0f} MB before, {found.peak:.0f} MB at"
        f" most, {end:.0f} MB after; afterwards /verify answers {answer.status_code}"
    )
    for name, sent in found.failures.items():
        print(f"  500: {name}")
        if options.failures:
            options.failures.mkdir(exist_ok=True)
            (options.failures / name.replace("/", "_")).write_bytes(sent)
    return int(end >= MOST_MEGABYTES or not answer.ok or bool(found.failures))


if __name__ == "__main__":
    sys.exit(main())
