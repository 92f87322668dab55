"""The pages are served locally and published to the cloud with the same content and headers."""

import json
import re
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from cfnlint.decode import cfn_yaml

from facial_recognition.infra.pages import (
    CACHE_CONTROL,
    SECURITY_HEADERS,
    PagesConfig,
    content_security_policy,
    files,
    publish,
)
from facial_recognition.local.pages import LocalPages
from facial_recognition.local.project import Project
from localaws.ports import PortUnusable
from localaws.server import EmbeddedAWS
from tests.support.paths import ROOT

TEMPLATE = ROOT / "facial_recognition" / "infra" / "pages.yaml"
CONFIG = PagesConfig("https://api.example.com/prod/", auth="api-key", region="eu-west-1")


@pytest.fixture
def session(aws: EmbeddedAWS, project: Project) -> boto3.Session:
    """A session that uses the embedded AWS."""
    return boto3.Session()


@pytest.fixture
def bucket(session: boto3.Session) -> str:
    """An empty bucket for the pages."""
    name = "bucket-of-the-pages"
    session.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def distribution(session: boto3.Session) -> str:
    """The id of a CloudFront distribution of the pages."""
    config: Any = {
        "CallerReference": str(uuid.uuid4()),
        "Comment": "",
        "Enabled": True,
        "Origins": {
            "Quantity": 1,
            "Items": [{"Id": "pages", "DomainName": "pages.s3.amazonaws.com"}],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "pages",
            "ViewerProtocolPolicy": "redirect-to-https",
        },
    }
    answer = session.client("cloudfront").create_distribution(DistributionConfig=config)
    return str(answer["Distribution"]["Id"])


def settings_in(script: bytes) -> Any:
    text = script.decode().removeprefix("export const config = ").removesuffix(";\n")
    return json.loads(text)


def test_the_pages_are_published(session: boto3.Session, bucket: str, distribution: str) -> None:
    publish(session, bucket, distribution, CONFIG)

    s3 = session.client("s3")
    for file in files(CONFIG):
        stored = s3.get_object(Bucket=bucket, Key=file.name)
        assert stored["Body"].read() == file.content
        assert stored["ContentType"] == file.content_type
        assert stored["CacheControl"] == CACHE_CONTROL
    page = s3.head_object(Bucket=bucket, Key="register.html")
    script = s3.head_object(Bucket=bucket, Key="lib/api.js")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert script["ContentType"] == "text/javascript; charset=utf-8"


def test_the_settings_are_published(session: boto3.Session, bucket: str, distribution: str) -> None:
    publish(session, bucket, distribution, CONFIG)

    script = session.client("s3").get_object(Bucket=bucket, Key="config.js")["Body"].read()
    assert settings_in(script) == {
        "apiUrl": "https://api.example.com/prod",
        "auth": "api-key",
        "region": "eu-west-1",
        "languages": ["en"],
    }


def test_obsolete_files_are_removed_and_the_distribution_is_invalidated(
    session: boto3.Session, bucket: str, distribution: str
) -> None:
    s3, cloudfront = session.client("s3"), session.client("cloudfront")
    s3.put_object(Bucket=bucket, Key="lib/old.js", Body=b"")

    publish(session, bucket, distribution, CONFIG)
    publish(session, bucket, distribution, CONFIG)

    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {file.name for file in files(CONFIG)}
    invalidations = cloudfront.list_invalidations(DistributionId=distribution)
    assert len(invalidations["InvalidationList"]["Items"]) == 2


def test_only_published_files_are_served() -> None:
    with LocalPages(PagesConfig("http://127.0.0.1:8000"), "http://127.0.0.1:4566") as pages:
        for path in ("/", "/index.html", "/register.html", "/lib/api.js", "/config.js"):
            assert requests.get(f"{pages.url}{path}", timeout=5).status_code == 200
        for path in ("/lib", "/lib/", "/%2e%2e/app.py", "//etc/passwd", "/nothing.html"):
            answer = requests.get(f"{pages.url}{path}", timeout=5)
            assert answer.status_code == 404
            assert "missing.heading" in answer.text
        assert requests.post(pages.url, timeout=5).status_code == 405
        assert requests.head(pages.url, timeout=5).content == b""


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortUnusable):
        LocalPages(PagesConfig("http://127.0.0.1:8000"), "", taken.getsockname()[1])


def test_the_local_server_configures_the_api_and_the_policy() -> None:
    with LocalPages(PagesConfig("http://127.0.0.1:8000"), "http://127.0.0.1:4566") as pages:
        answer = requests.get(f"{pages.url}/config.js", timeout=5)

    assert settings_in(answer.content)["apiUrl"] == "http://127.0.0.1:8000"
    policy = answer.headers["Content-Security-Policy"]
    assert "connect-src http://127.0.0.1:8000 http://127.0.0.1:4566;" in policy


def test_the_cloud_sends_the_same_headers_as_the_local_server() -> None:
    resources = cfn_yaml.load(str(TEMPLATE))["Resources"]
    config = resources["Headers"]["Properties"]["ResponseHeadersPolicyConfig"]
    security = config["SecurityHeadersConfig"]
    values = {
        "ApiOrigin": CONFIG.api_origin,
        "PhotographBucket": "photographs",
        "AWS::Region": "eu-west-1",
        "AWS::URLSuffix": "amazonaws.com",
    }
    policy = security["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"]
    for name, value in values.items():
        policy = policy.replace(f"${{{name}}}", value)

    with LocalPages(CONFIG, "https://s3.example.com") as pages:
        local = requests.get(pages.url, timeout=5).headers

    assert policy == content_security_policy(
        "https://api.example.com",
        "https://photographs.s3.amazonaws.com",
        "https://photographs.s3.eu-west-1.amazonaws.com",
    )
    cloud = {item["Header"]: item["Value"] for item in config["CustomHeadersConfig"]["Items"]}
    cloud["X-Frame-Options"] = security["FrameOptions"]["FrameOption"]
    cloud["Referrer-Policy"] = security["ReferrerPolicy"]["ReferrerPolicy"]
    assert security["ContentTypeOptions"]["Override"] is True
    cloud["X-Content-Type-Options"] = "nosniff"
    assert cloud == SECURITY_HEADERS
    assert SECURITY_HEADERS.items() <= local.items()


def test_the_template_is_valid() -> None:
    linter = Path(sys.executable).parent / "cfn-lint"

    said = subprocess.run([linter, TEMPLATE], capture_output=True, text=True, check=False)

    assert (said.returncode, said.stdout) == (0, "")


def test_every_text_is_used_and_every_used_text_exists() -> None:
    web = ROOT / "web"
    texts = (web / "texts" / "en.js").read_text()
    defined = set(re.findall(r'^  "?([\w.]+)"?:', texts, re.MULTILINE)) - {"problems"}
    scripts = [*web.glob("*.js"), *web.glob("lib/*.js")]
    code = "\n".join(path.read_text() for path in scripts)
    pages = "\n".join(path.read_text() for path in web.glob("*.html"))

    used = set(re.findall(r'data-(?:text|label)="([\w.]+)"', pages))
    # In scripts, keys are string literals, except that the keys of states are concatenated.
    quoted = set(re.findall(r'"([\w.]+)"', code))
    states = {f"state.{word}" for word in quoted}

    assert used <= defined
    assert set(re.findall(r'\b(?:t|wording|retryWithId)\("([\w.]+)"', code)) <= defined
    assert defined <= used | quoted | states


def test_every_problem_of_the_service_is_explained() -> None:
    errors = (ROOT / "chalicelib" / "errors.py").read_text()
    codes = set(re.findall(r'^    code(?:: str)? = "(\w+)"', errors, re.MULTILINE))
    texts = (ROOT / "web" / "texts" / "en.js").read_text()
    explained = set(re.findall(r"^    (\w+): \[", texts, re.MULTILINE))

    # The keys that /register creates are always valid.
    assert codes - {"invalid_key"} <= explained
