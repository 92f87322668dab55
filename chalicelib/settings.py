"""The settings of a stage: environment variables, read and checked once."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chalicelib.models import Percentage


class SettingsError(Exception):
    """An environment variable has an invalid value."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """The settings of a stage. Each field is the environment variable of the same name."""

    faces_bucket: Annotated[str, Meta(min_length=3, max_length=63)] = (
        "facial-recognition-data-bucket"
    )
    """S3 bucket of the photographs."""
    faces_table: Annotated[str, Meta(min_length=3, max_length=255)] = "face-metadata"
    """DynamoDB table of the records."""
    faces_audit_table: Annotated[str, Meta(min_length=3, max_length=255)] = "face-audit"
    """DynamoDB table of the audit trail; it outlasts the records."""
    faces_collection: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.\-]{1,255}$")] = "face-collection"
    """Rekognition collection of the faces."""
    failed_events_queue: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,80}$")] = (
        "facial-recognition-failed-events"
    )
    """SQS queue of the events that failed at every try. Lambda fills it, not the application."""

    auth: Literal["api-key", "iam", "cognito", "none"] = "api-key"
    """Who may call the API."""
    cognito_user_pool_arn: str = ""
    """User pool whose users may call the API, if ``auth`` is ``cognito``."""

    face_match_threshold: Percentage = 95.0
    """Lowest similarity of two faces of the same person, for /verify."""
    duplicate_face_threshold: Percentage = 99.0
    """Lowest similarity at which /register finds a face registered to another person; 0 turns the
    check off."""

    hide_unknown_persons: bool = False
    """Whether to keep callers from finding out who is registered. If so, /verify answers for an
    unknown person as for a wrong face, no request may lower the threshold, and /register does not
    name the person to whom a face is registered."""

    min_face_size: Annotated[int, Meta(ge=1)] = 50
    """Smallest side, in pixels, of a face that may be registered. Rekognition detects faces from 40
    pixels on, but compares them well only if they are larger."""
    min_face_brightness: Percentage = 20.0
    """Lowest brightness of a face that may be registered, on Rekognition's scale."""
    min_face_sharpness: Percentage = 10.0
    """Lowest sharpness of a face that may be registered, on Rekognition's scale."""

    index_rate: Annotated[float, Meta(gt=0)] = 10.0
    """Most photographs per second that ``/create-index`` converges. Each needs one IndexFaces, of
    which Rekognition allows 5 to 50 per second, depending on the region."""
    attempt_seconds: Annotated[float, Meta(gt=0)] = 60.0
    """Seconds after which an attempt at indexing cannot be in progress any more. Not less than the
    timeout of any function that indexes."""

    keep_photographs: bool = True
    """Whether photographs stay in S3 once they are indexed. Their faces stay in any case."""
    forget_after_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    """Days without a verification after which a person is forgotten; 0 means never."""
    verifications_noted_since: date | None = None
    """Day since which the service notes when each person was last verified; empty if it does not.
    Nobody is forgotten before this day is ``forget_after_days`` ago."""

    metrics: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{0,64}\Z")] = ""
    """Name of the stage in the metrics of the log; without a name, no metrics are written."""
    log_salt: str = ""
    """Key of the hashes that stand for persons in the log; without a key, the log has none."""

    upload_expires_in: Annotated[int, Meta(ge=60, le=43200)] = 900
    """Seconds for which a presigned upload is valid."""
    cors_origin: Annotated[str, Meta(pattern=r"^(\*|https?://[A-Za-z0-9.-]+(:\d{1,5})?)\Z")] = "*"
    """Origin whose pages may call the API from a browser."""

    def __post_init__(self) -> None:
        """Check the settings that depend on each other."""
        if self.auth == "cognito" and not self.cognito_user_pool_arn:
            raise ValueError("AUTH=cognito needs COGNITO_USER_POOL_ARN")
        if self.forget_after_days and self.verifications_noted_since is None:
            raise ValueError("FORGET_AFTER_DAYS needs VERIFICATIONS_NOTED_SINCE: set it to today")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Return the settings of an environment; unset and empty variables get their defaults.

        Raises:
            SettingsError: a variable has an invalid value; the message names it.
        """
        names = {field.encode_name for field in msgspec.structs.fields(cls)}
        given = {name: environment[name] for name in names if environment.get(name)}
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"Environment variable: {error}") from error
