"""The pages of ``web/``: their files, headers and settings, and how to publish them.

``pages.yaml`` is the template of the bucket and the distribution that serve them in the cloud.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import boto3

from facial_recognition.checkout import ROOT

WEB = ROOT / "web"
TEMPLATE = Path(__file__).with_name("pages.yaml")

CACHE_CONTROL = "public, max-age=0, s-maxage=31536000, must-revalidate"
"""A browser asks each time whether a file has changed, and the distribution keeps it until it is
invalidated. So nobody gets scripts of two versions that do not fit together."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer, beside the content security policy."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Types of the files that are published; other files in the folder are not."""
_MAX_DELETED = 1000


def stack_name(application: str) -> str:
    """Return the name of the stack of an application's pages.

    Args:
        application: the name of the API's function.
    """
    return f"{application}-pages"


@dataclass(frozen=True)
class PagesConfig:
    """The settings of the pages."""

    api_url: str
    """Address of the API, with the name of API Gateway's stage if it has one."""
    auth: Literal["none", "api-key", "cognito"] = "none"
    """How the API authenticates its callers."""
    region: str = "us-east-1"

    @property
    def api_origin(self) -> str:
        """Origin of the API: parameter ``ApiOrigin`` of ``pages.yaml``."""
        address = urlsplit(self.api_url)
        return f"{address.scheme}://{address.netloc}"

    def to_script(self) -> bytes:
        """Return the content of ``config.js``."""
        settings = {
            "apiUrl": self.api_url.rstrip("/"),
            "auth": self.auth,
            "region": self.region,
            "languages": sorted(path.stem for path in (WEB / "texts").glob("*.js")),
        }
        return f"export const config = {json.dumps(settings)};\n".encode()


@dataclass(frozen=True)
class PagesFile:
    """A file of the pages."""

    name: str
    """Path below the address of the pages."""
    content: bytes

    @property
    def content_type(self) -> str:
        """The file's media type."""
        return CONTENT_TYPES[Path(self.name).suffix]


def files(config: PagesConfig) -> Iterator[PagesFile]:
    """Yield the files of the pages, and ``config.js``.

    The HTML files come last, so that the files that they load are published before them.
    """
    yield PagesFile("config.js", config.to_script())
    paths = [path for path in WEB.rglob("*") if path.suffix in CONTENT_TYPES]
    for path in sorted(paths, key=lambda path: (path.suffix == ".html", path)):
        yield PagesFile(path.relative_to(WEB).as_posix(), path.read_bytes())


def content_security_policy(*connect: str) -> str:
    """Return the policy of the pages: everything comes from their own origin.

    Args:
        connect: the origins that scripts may connect to.
    """
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            f"connect-src {' '.join(connect)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def publish(session: boto3.Session, bucket: str, distribution_id: str, config: PagesConfig) -> None:
    """Publish the pages, and delete files of earlier versions.

    This may be stopped at any point and called again.

    Args:
        session: needs the rights to list, put and delete the bucket's objects, and to create
            invalidations of the distribution.
        bucket: output ``BucketName`` of ``pages.yaml``.
        distribution_id: its output ``DistributionId``.
        config: the settings of the pages.

    Raises:
        botocore.exceptions.ClientError: AWS refuses a call.
    """
    s3 = session.client("s3")
    published = set()
    for file in files(config):
        s3.put_object(
            Bucket=bucket,
            Key=file.name,
            Body=file.content,
            ContentType=file.content_type,
            CacheControl=CACHE_CONTROL,
        )
        published.add(file.name)
    listing = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in listing for item in page.get("Contents", [])]
    old = [key for key in keys if key not in published]
    for start in range(0, len(old), _MAX_DELETED):
        objects: Any = [{"Key": key} for key in old[start : start + _MAX_DELETED]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    session.client("cloudfront").create_invalidation(
        DistributionId=distribution_id,
        InvalidationBatch={
            "Paths": {"Quantity": 1, "Items": ["/*"]},
            "CallerReference": str(uuid.uuid4()),
        },
    )
