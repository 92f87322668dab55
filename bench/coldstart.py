"""Measure a cold start: the deployed package in a fresh process, as Lambda runs it.

    python -m bench.coldstart --photo ada.jpg

- The import of the handler, compared with a bare Chalice application that imports the same
  libraries. Both are measured in turn, with only the package and boto3 on the path, and without
  compiled bytecode.
- The first verify of a fresh process, compared with later ones, on the embedded AWS.
- Creating three boto3 clients one after the other, compared with creating them in threads.
"""

import argparse
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from bench.tables import print_table
from chalicelib.settings import Settings
from facial_recognition.local.project import make_data
from localaws.server import EmbeddedAWS, clear_environment
from localaws.services.lambda_ import runtime

ROOT = Path(__file__).parent.parent
BARE = """
import boto3.dynamodb.types, botocore.config, botocore.exceptions, msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from chalice.app import Chalice

app = Chalice(app_name="bare")
logger = Logger(service="bare")


@app.route("/verify", methods=["POST"])
def verify():
    return {}
"""
TIMED_IMPORT = """
import time
started = time.perf_counter()
import app
print(time.perf_counter() - started)
"""
CLIENTS = """
import time, boto3
from concurrent.futures import ThreadPoolExecutor
names = ("s3", "dynamodb", "rekognition")
started = time.perf_counter()
{how}
print(time.perf_counter() - started)
"""
IN_TURN = "session = boto3.Session(); [session.client(name) for name in names]"
AT_ONCE = """with ThreadPoolExecutor(3) as threads:
    list(threads.map(lambda name: boto3.Session().client(name), names))"""


def main() -> None:
    """Measure everything in one run, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.coldstart", description=__doc__)
    parser.add_argument("--photo", required=True, help="a JPEG that shows a face")
    parser.add_argument(
        "--runs", type=int, default=15, help="fresh processes of each kind (default: 15)"
    )
    options = parser.parse_args()
    clear_environment()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = build_package(folder)
        print(f"package: {package.stat().st_size / 1e6:.2f} MB\n")
        application, bare, libraries = unpack(package, folder)
        compare("import", options.runs, {
            "bare Chalice": lambda: run_fresh(TIMED_IMPORT, bare, libraries),
            "application": lambda: run_fresh(TIMED_IMPORT, application, libraries),
        })  # fmt: skip
        compare("three clients", options.runs, {
            "in turn": lambda: run_fresh(CLIENTS.format(how=IN_TURN), bare, libraries),
            "at once": lambda: run_fresh(CLIENTS.format(how=AT_ONCE), bare, libraries),
        })  # fmt: skip
        with EmbeddedAWS() as aws:
            os.environ.update(aws.environment)
            service = Function(aws, package.read_bytes(), Path(options.photo).read_bytes())
            compare("verify", options.runs, {"warm": service.warm, "cold": service.cold})


def compare(title: str, runs: int, alternatives: dict[str, Callable[[], float]]) -> None:
    """Measure alternatives in turn, and print their medians and the ratios to the first one.

    Args:
        title: the title of the table.
        runs: number of measurements of each alternative.
        alternatives: functions that measure once and return seconds, by name.
    """
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(runs):
        for name, measure in alternatives.items():
            times[name].append(measure())
    medians = {name: statistics.median(seconds) * 1000 for name, seconds in times.items()}
    first = next(iter(medians.values()))
    rows = [[name, f"{median:.0f}", f"{median / first:.2f}"] for name, median in medians.items()]
    print_table([[title, "median ms", "ratio"], *rows], title.replace(" ", "-"))
    print(flush=True)


def build_package(folder: Path, project: Path = ROOT) -> Path:
    """Build the deployment package of the prod stage with Chalice, and return its path."""
    chalice = str(Path(sys.executable).parent / "chalice")
    command = [chalice, "package", "--stage", "prod", "--pkg-format", "terraform", str(folder)]
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
    subprocess.run(command, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder / "deployment.zip"


def unpack(package: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Unpack the package.

    Returns:
        The folders of the application, of the bare application, and of the libraries that Lambda
        provides.
    """
    application, bare, libraries = folder / "application", folder / "bare", folder / "runtime"
    with zipfile.ZipFile(package) as files:
        files.extractall(application)
        others = [n for n in files.namelist() if n.split("/")[0] not in ("app.py", "chalicelib")]
        files.extractall(bare, others)
    (bare / "app.py").write_text(BARE)
    libraries.mkdir()
    runtime.lay_out(libraries)
    return application, bare, libraries


def run_fresh(script: str, code: Path, libraries: Path) -> float:
    """Run a script in a fresh process, and return the seconds that it prints.

    Args:
        script: Python code.
        code: the folder of an application.
        libraries: the folder of the libraries that Lambda provides.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-c", script],
        cwd=code,
        env={
            "PATH": os.defpath,
            "PYTHONPATH": f"{code}{os.pathsep}{libraries}",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


class Function:
    """The API's function on the embedded AWS, with its role and the data resources.

    Args:
        aws: the embedded AWS.
        package: the deployment package, a ZIP file.
        photo: the photograph to verify.
    """

    def __init__(self, aws: EmbeddedAWS, package: bytes, photo: bytes) -> None:
        make_data(boto3.Session(), Settings(), "facial-recognition", "prod")
        self._aws = aws
        self._event = json.dumps(_event(photo)).encode()
        self._lambda: Any = boto3.client("lambda")
        iam = boto3.client("iam")
        trusted = '{"Version": "2012-10-17", "Statement": []}'
        role = iam.create_role(RoleName="api", AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
        document = (ROOT / ".chalice" / "policy-prod.json").read_text()
        iam.put_role_policy(RoleName="api", PolicyName="api", PolicyDocument=document)
        self._lambda.create_function(
            FunctionName="facial-recognition-prod",
            Role=role,
            Handler="app.app",
            Runtime="python3.13",
            MemorySize=512,
            Timeout=29,
            Code={"ZipFile": package},
        )
        self.warm()

    def cold(self) -> float:
        """Verify the photograph in a fresh process; return seconds."""
        self._aws.deployed.stop()
        return self.warm()

    def warm(self) -> float:
        """Verify the photograph in the running process; return seconds."""
        started = time.perf_counter()
        answer = self._lambda.invoke(FunctionName="facial-recognition-prod", Payload=self._event)
        result = json.load(io.BytesIO(answer["Payload"].read()))
        elapsed = time.perf_counter() - started
        if result.get("statusCode") != 200:
            raise RuntimeError(result)
        return elapsed


def _event(photo: bytes) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    return {
        "httpMethod": "POST",
        "headers": headers,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": "/verify", "requestId": "bench"},
        "body": json.dumps({"image": base64.b64encode(photo).decode()}),
        "isBase64Encoded": False,
    }


if __name__ == "__main__":
    main()
