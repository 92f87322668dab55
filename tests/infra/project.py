"""A copy of the project to deploy: a deploy writes into the project's configuration."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3

from chalicelib.settings import Settings
from facial_recognition.infra.stages import StageConfig

ROOT = Path(__file__).parent.parent.parent
DEPLOYED_WITH = [
    "app.py",
    "chalicelib",
    "facial_recognition",
    "web",
    "requirements.txt",
    ".chalice",
]
BUILT = Path(".chalice") / "deployments"
"""The folder in which Chalice keeps the packages that it built."""
ACCOUNT, REGION = "123456789012", "us-east-1"
BUCKET = f"facial-recognition-prod-data-{ACCOUNT}-{REGION}"


class ProjectCopy:
    """The project as in a fresh clone."""

    def __init__(self, folder: Path) -> None:
        """Copy the files that a deploy needs.

        Args:
            folder: the folder of the copy.
        """
        self.folder = folder
        leave = shutil.ignore_patterns("__pycache__", "deployed", "deployments")
        for name in DEPLOYED_WITH:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=leave)
            else:
                shutil.copy(source, folder / name)

        stage = self.stage()
        # As before the first deploy, which writes the names of the resources there.
        settings = Settings()
        stage.environment.update(
            FACES_BUCKET=settings.faces_bucket,
            FACES_TABLE=settings.faces_table,
            FACES_AUDIT_TABLE=settings.faces_audit_table,
            FACES_COLLECTION=settings.faces_collection,
            FAILED_EVENTS_QUEUE=settings.failed_events_queue,
            AUTH="api-key",
        )
        stage.environment.pop("CORS_ORIGIN", None)
        # The pages need a second deploy of the application, and most tests do not need them.
        stage.config["deploy"] = {"without": ["pages"]}
        stage.save()

    def with_pages(self) -> None:
        """Deploy the pages too, as a fresh clone does."""
        stage = self.stage()
        del stage.deploy_options["without"]
        stage.save()

    def run(self, command: str, *options: str, **environment: str) -> "Done":
        """Run a command of ``faces``, on stage ``prod`` unless the options name another."""
        stage = () if "--stage" in options else ("--stage", "prod")
        done = subprocess.run(
            [sys.executable, "-m", "facial_recognition.cli", command, *stage, *options],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def chalice(self, *arguments: str) -> None:
        """Run a command of Chalice, which has to succeed."""
        chalice = Path(sys.executable).with_name("chalice")
        subprocess.run([chalice, *arguments], cwd=self.folder, check=True, capture_output=True)

    def deploy(self, *options: str) -> "Done":
        """Deploy, which has to succeed."""
        done = self.run("deploy", *options)
        assert done.code == 0, done.said + done.error
        return done

    def stage(self, name: str = "prod") -> StageConfig:
        """Read a stage as it is now."""
        return StageConfig(name, self.folder / ".chalice")

    def take_packages(self, other: "ProjectCopy") -> None:
        """Copy the packages that Chalice built for another copy of the same code."""
        shutil.copytree(other.folder / BUILT, self.folder / BUILT)


class Done:
    """The exit code and the output of a command."""

    def __init__(self, code: int, said: str, error: str) -> None:
        """Keep the results.

        Args:
            code: the exit code.
            said: standard output.
            error: standard error.
        """
        self.code = code
        self.said = said
        self.error = error


def functions() -> dict[str, Any]:
    """Return the configuration of the deployed functions by their names."""
    client = boto3.client("lambda")
    return {f["FunctionName"]: f for f in client.list_functions()["Functions"]}


def rest_apis() -> list[str]:
    """Return the ids of the deployed REST APIs."""
    return [api["id"] for api in boto3.client("apigateway").get_rest_apis()["items"]]


def api_key() -> str:
    """Return the id of the only API key."""
    [key] = boto3.client("apigateway").get_api_keys()["items"]
    return str(key["id"])
