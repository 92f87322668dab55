"""The pages of ``web/`` as they are served: their files, headers and settings, and how they are
put into the cloud. ``infra/pages.yaml`` is the bucket and distribution that they are put into.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import boto3

from facial_recognition.checkout import ROOT

WEB = ROOT / "web"
TEMPLATE = Path(__file__).with_name("pages.yaml")

CACHE_CONTROL = "public, max-age=0, s-maxage=31536000, must-revalidate"
"""A browser asks each time whether a file is still the same; the distribution keeps it until it is
told to forget. So nobody gets scripts of two versions that do not fit together."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer, beside the content security policy."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Of the files that are published; what else may lie in the folder is not."""
_DELETED_AT_ONCE = 1000


def stack_name(application: str) -> str:
    """Name the stack of an application's pages; ``application`` is the API function's name."""
    return f"{application}-pages"


@dataclass(frozen=True)
class PagesConfig:
    """What the pages have to know of the service."""

    api_url: str
    """Address of the API, with its stage if it has one."""
    auth: Literal["none", "api-key", "cognito"] = "none"
    """What the API asks of its callers."""
    region: str = "us-east-1"

    @property
    def api_origin(self) -> str:
        """Origin of the API: parameter ``ApiOrigin`` of ``infra/pages.yaml``."""
        address = urlsplit(self.api_url)
        return f"{address.scheme}://{address.netloc}"

    def to_script(self) -> bytes:
        """Write ``config.js``."""
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
    """Its path below the pages' address."""
    content: bytes

    @property
    def content_type(self) -> str:
        """Its media type."""
        return CONTENT_TYPES[Path(self.name).suffix]


def files(config: PagesConfig) -> Iterator[PagesFile]:
    """Go through the files of the pages, ``config.js`` among them.

    The pages themselves come last, so that what they need is there before them.
    """
    yield PagesFile("config.js", config.to_script())
    paths = [path for path in WEB.rglob("*") if path.suffix in CONTENT_TYPES]
    for path in sorted(paths, key=lambda path: (path.suffix == ".html", path)):
        yield PagesFile(path.relative_to(WEB).as_posix(), path.read_bytes())


def content_security_policy(*connect: str) -> str:
    """Write the policy: everything from the pages' own origin, and connections to these."""
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
    """Put the pages into the cloud; what was there of earlier ones is removed.

    May be stopped at any point and be called again.

    Args:
        session: with the right to list, put and delete the bucket's objects, and to create
            invalidations of the distribution.
        bucket: output ``BucketName`` of ``infra/pages.yaml``.
        distribution_id: its output ``DistributionId``.
        config: what the pages have to know of the service.

    Raises:
        botocore.exceptions.ClientError: AWS refuses.
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
    there = [item["Key"] for page in listing for item in page.get("Contents", [])]
    old = [key for key in there if key not in published]
    for start in range(0, len(old), _DELETED_AT_ONCE):
        keys = old[start : start + _DELETED_AT_ONCE]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    session.client("cloudfront").create_invalidation(
        DistributionId=distribution_id,
        InvalidationBatch={
            "Paths": {"Quantity": 1, "Items": ["/*"]},
            "CallerReference": str(uuid.uuid4()),
        },
    )
