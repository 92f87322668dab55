"""The photographs in S3.

A stage may keep no photographs. Then a placeholder, a short text, replaces each photograph once it
is indexed. While the placeholder is there, the photograph counts as present; whoever deletes the
placeholder removes the face.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib.images import MAX_STORED_BYTES, Photograph
from chalicelib.models import MAX_NAME_LENGTH, StoredPhotograph, Upload, is_consent, is_visible

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_NAME_BYTES = 1800
"""Limit of the percent-encoded name. S3 keeps 2 KB of metadata with an object; the rest is for the
consent, the caller and the ETag that a placeholder stands for."""
MAX_CALLER_BYTES = 140

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_STANDS_FOR = "stands-for"
"""Metadata of a placeholder: the ETag of its photograph."""
_MAX_LISTED = 1000  # objects in one ListObjectsV2
_MAX_DELETED = 1000  # versions in one DeleteObjects


class ListedPhotograph(Struct, frozen=True):
    """An object in a listing."""

    key: str
    etag: str
    day: str
    """Day on which the object was stored: UTC, ISO 8601."""


class Version(Struct, frozen=True):
    """One version of an object, or a delete marker."""

    key: str
    version_id: str


class UnfinishedUpload(Struct, frozen=True):
    """A multipart upload that was neither completed nor aborted; S3 keeps its parts."""

    key: str
    upload_id: str


def object_metadata(name: str | None, consent: str | None, caller: str | None) -> dict[str, str]:
    """Return the S3 metadata of a photograph.

    Args:
        name: the person's name.
        consent: version of the text that the person agreed to.
        caller: who registers the photograph. S3 keeps a hash of one that is too long.
    """
    if caller is not None:
        caller = quote(caller, safe="/:@+=,")  # the characters of ARNs, which are long already
        if len(caller) > MAX_CALLER_BYTES:
            caller = f"sha256:{sha256(caller.encode()).hexdigest()}"
    values = {"name": name and quote(name), "consent": consent, "caller": caller}
    return {field: value for field, value in values.items() if value}


def is_placeholder(listed_etag: str, etag: str) -> bool:
    """Return whether an object in a listing is the placeholder of the photograph with ``etag``.

    In a bucket that KMS keys encrypt, ETags are no MD5 sums and the answer is always False.
    """
    return listed_etag == md5(_placeholder(etag), usedforsecurity=False).hexdigest()


def _placeholder(etag: str) -> bytes:
    """Return the content of the placeholder of the photograph with ``etag``."""
    return f"The photograph {etag} was indexed here and is not kept.\n".encode()


class Photographs:
    """The photographs in one bucket.

    Methods raise :class:`botocore.exceptions.ClientError` when S3 refuses a call.
    """

    def __init__(self, client: "Callable[[], S3Client]", bucket: str) -> None:
        """Use a bucket.

        Args:
            client: returns the boto3 client; called on first use.
            bucket: name of the bucket.
        """
        self._client = client
        self.bucket = bucket

    def head(self, key: str, version_id: str | None = None) -> StoredPhotograph | None:
        """Return an object, or one version of it, without its content; None if there is none."""
        version: Any = {} if version_id is None else {"VersionId": version_id}
        try:
            found = self._client().head_object(Bucket=self.bucket, Key=key, **version)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        metadata = found["Metadata"]
        name = unquote(metadata.get("name", "")).strip()
        is_name = len(name) <= MAX_NAME_LENGTH and is_visible(name)
        consent, caller = metadata.get("consent", ""), unquote(metadata.get("caller", ""))
        etag = found["ETag"].strip('"')
        stands_for = metadata.get(_STANDS_FOR)
        return StoredPhotograph(
            key=key,
            etag=stands_for or etag,
            size=found["ContentLength"],
            name=name if is_name else None,
            consent=consent if is_consent(consent) else None,
            caller=caller[:MAX_CALLER_BYTES] or None,
            version_id=found.get("VersionId"),
            is_kept=stands_for is None,
        )

    def put(
        self, key: str, photograph: Photograph, metadata: Mapping[str, str], *, replace: bool
    ) -> bool:
        """Store a photograph with the metadata of :func:`object_metadata`.

        Returns:
            False if the key is taken and ``replace`` is False.
        """
        condition: Any = {} if replace else {"IfNoneMatch": "*"}
        try:
            self._client().put_object(
                Bucket=self.bucket,
                Key=key,
                Body=photograph.data,
                ContentType=photograph.media_type,
                Metadata=metadata,
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHANGED:
                return False
            raise
        return True

    def presign_upload(
        self, key: str, media_type: str, metadata: Mapping[str, str], expires_in: int
    ) -> Upload:
        """Allow anybody to upload one object under one key, for ``expires_in`` seconds."""
        described = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        fields = {"Content-Type": media_type, **described}
        conditions: list[Any] = [{field: value} for field, value in fields.items()]
        post = self._client().generate_presigned_post(
            Bucket=self.bucket,
            Key=key,
            Fields=dict(fields),
            Conditions=[*conditions, ["content-length-range", 1, MAX_STORED_BYTES]],
            ExpiresIn=expires_in,
        )
        # boto3 returns S3's global address. It redirects to the region in the first hours of a
        # bucket, and browsers do not follow that with a form. It does not serve newer regions.
        regional = f"s3.{self._client().meta.region_name}.amazonaws.com"
        return Upload(post["url"].replace("s3.amazonaws.com", regional), post["fields"], expires_in)

    def list_page(self, prefix: str, after: str | None, limit: int) -> list[ListedPhotograph]:
        """List up to ``limit`` objects in the order of their keys, starting after key ``after``."""
        listing = self._client().list_objects_v2(
            Bucket=self.bucket, Prefix=prefix, MaxKeys=limit, StartAfter=after or ""
        )
        return [
            ListedPhotograph(
                item["Key"], item["ETag"].strip('"'), item["LastModified"].date().isoformat()
            )
            for item in listing.get("Contents", [])
        ]

    def list_all(self, prefix: str) -> Iterator[ListedPhotograph]:
        """Yield the objects whose keys begin with ``prefix``, in the order of their keys."""
        after = None
        while page := self.list_page(prefix, after, _MAX_LISTED):
            yield from page
            after = page[-1].key

    def replace_with_placeholder(self, stored: StoredPhotograph) -> bool:
        """Replace a photograph with its placeholder.

        The photograph becomes an older version; :meth:`delete_older_versions` deletes it.

        Returns:
            False if another object has replaced the photograph meanwhile.
        """
        metadata = object_metadata(stored.name, stored.consent, stored.caller)
        try:
            self._client().put_object(
                Bucket=self.bucket,
                Key=stored.key,
                Body=_placeholder(stored.etag),
                ContentType="text/plain",
                Metadata={**metadata, _STANDS_FOR: stored.etag},
                IfMatch=f'"{stored.etag}"',
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in (*_MISSING, *_CHANGED):
                return False
            raise
        return True

    def delete_older_versions(self, placeholder: StoredPhotograph) -> bool:
        """Delete the versions that are older than a placeholder, if there are any.

        Somebody may upload the same photograph with another name or consent just before the
        placeholder is stored. The ETag is the same, so S3 accepts the placeholder, and nobody has
        seen the new name. In this case the placeholder is deleted instead.

        Returns:
            False if the placeholder was deleted.
        """
        if placeholder.version_id is None:
            return True
        pages = self._client().get_paginator("list_object_versions")
        older: list[Version] = []
        is_older = False
        for page in pages.paginate(Bucket=self.bucket, Prefix=placeholder.key):
            for item in page.get("Versions", []):  # of each key, the newest first
                if item["Key"] == placeholder.key:
                    if is_older:
                        older.append(Version(item["Key"], item["VersionId"]))
                    is_older = is_older or item["VersionId"] == placeholder.version_id
        replaced = self.head(placeholder.key, older[0].version_id) if older else None
        if (
            replaced
            and replaced.is_kept
            and replaced.etag == placeholder.etag
            and (replaced.name, replaced.consent) != (placeholder.name, placeholder.consent)
        ):
            self.delete_versions([Version(placeholder.key, placeholder.version_id)])
            return False
        self.delete_versions(older)
        return True

    def read(self, stored: StoredPhotograph) -> bytes:
        """Return the content of an object, in the version that :meth:`head` found."""
        version: Any = {"VersionId": stored.version_id} if stored.version_id else {}
        found = self._client().get_object(Bucket=self.bucket, Key=stored.key, **version)
        return found["Body"].read()

    def versions(self, prefix: str) -> Iterator[Version]:
        """Yield all versions and all delete markers of the keys that begin with ``prefix``."""
        pages = self._client().get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for item in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                yield Version(item["Key"], item["VersionId"])

    def delete_versions(self, versions: Sequence[Version]) -> None:
        """Delete versions permanently."""
        for start in range(0, len(versions), _MAX_DELETED):
            chunk = versions[start : start + _MAX_DELETED]
            objects: Any = [{"Key": v.key, "VersionId": v.version_id} for v in chunk]
            answer = self._client().delete_objects(
                Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
            )
            for error in answer.get("Errors", []):
                raise ClientError({"Error": dict(error)}, "DeleteObjects")  # type: ignore[typeddict-item]

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Yield the multipart uploads that were neither completed nor aborted."""
        pages = self._client().get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for item in page.get("Uploads", []):
                yield UnfinishedUpload(item["Key"], item["UploadId"])

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Abort a multipart upload; S3 deletes its parts."""
        self._client().abort_multipart_upload(
            Bucket=self.bucket, Key=upload.key, UploadId=upload.upload_id
        )
