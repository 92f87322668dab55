"""The environment, read and checked once."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Percentage = Annotated[float, Meta(ge=0, le=100)]


class SettingsError(Exception):
    """An environment variable holds a value that cannot be used."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """What differs between stages. Each field is the environment variable of that name."""

    faces_bucket: Annotated[str, Meta(min_length=3, max_length=63)] = (
        "facial-recognition-data-bucket"
    )
    """Bucket of the photographs."""
    faces_table: Annotated[str, Meta(min_length=3, max_length=255)] = "face-metadata"
    """DynamoDB table of the records."""
    faces_audit_table: Annotated[str, Meta(min_length=3, max_length=255)] = "face-audit"
    """DynamoDB table of what was done with whose photographs: it outlasts the records."""
    faces_collection: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.\-]{1,255}$")] = "face-collection"
    """Rekognition collection of the faces."""
    failed_events_queue: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,80}$")] = (
        "facial-recognition-failed-events"
    )
    """SQS queue of the events that no try could handle; Lambda fills it, not the application."""

    auth: Literal["api-key", "iam", "cognito", "none"] = "api-key"
    """Who may call the API."""
    cognito_user_pool_arn: str = ""
    """Whose users may call the API where ``auth`` is ``cognito``."""

    face_match_threshold: Percentage = 95.0
    """Similarity from which a verify says that two faces are one person's."""
    duplicate_face_threshold: Percentage = 99.0
    """Similarity from which a face counts as already registered to somebody else; 0 is off."""

    hide_unknown_persons: bool = False
    """Whether callers must not learn who is registered: then a verify against an unknown person
    reads like one with a wrong face, no verify may lower the threshold, and a registration of
    somebody else's face does not say whose it is."""

    min_face_size: Annotated[int, Meta(ge=1)] = 50
    """Smallest side in pixels of a face that may be registered: Rekognition finds faces from 40
    pixels on, but compares them well only when they are larger."""
    min_face_brightness: Percentage = 20.0
    """Darkest face that may be registered, on Rekognition's scale."""
    min_face_sharpness: Percentage = 10.0
    """Most blurred face that may be registered, on Rekognition's scale."""

    index_rate: Annotated[float, Meta(gt=0)] = 10.0
    """Photographs per second that ``/create-index`` converges at most; each is one IndexFaces, of
    which Rekognition allows 5 to 50 a second, depending on the region."""
    attempt_seconds: Annotated[float, Meta(gt=0)] = 60.0
    """Seconds after which an attempt at indexing cannot be running any more: no less than the
    timeout of any function that indexes."""

    keep_photographs: bool = True
    """Whether photographs stay in S3 when they have been indexed; if not, their faces do."""
    forget_after_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    """Days after which a person is forgotten as whom no photograph was verified; 0 is never."""
    verifications_noted_since: date | None = None
    """Since when it is noted of faces on which day they were verified last; it is not where this is
    empty. Nobody is forgotten for not having been verified before."""

    metrics: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{0,64}\Z")] = ""
    """Name under which this stage's metrics are written to the log; none are where it is empty."""
    log_salt: str = ""
    """Key of the hashes by which the log tells persons apart; it tells none where it is empty."""

    upload_expires_in: Annotated[int, Meta(ge=60, le=43200)] = 900
    """Seconds for which a presigned upload may be used."""
    cors_origin: Annotated[str, Meta(pattern=r"^(\*|https?://[A-Za-z0-9.-]+(:\d{1,5})?)\Z")] = "*"
    """Origin whose pages may call the API from a browser."""

    def __post_init__(self) -> None:
        """Check what several settings say together."""
        if self.auth == "cognito" and not self.cognito_user_pool_arn:
            raise ValueError("AUTH=cognito needs COGNITO_USER_POOL_ARN")
        if self.forget_after_days and self.verifications_noted_since is None:
            raise ValueError("FORGET_AFTER_DAYS needs VERIFICATIONS_NOTED_SINCE, at first today")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; a variable that is unset or empty takes its default.

        Raises:
            SettingsError: a variable cannot be used; the message names it.
        """
        names = {field.encode_name for field in msgspec.structs.fields(cls)}
        given = {name: environment[name] for name in names if environment.get(name)}
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"Environment variable: {error}") from error
