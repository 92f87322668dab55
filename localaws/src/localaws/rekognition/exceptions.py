"""The errors of Rekognition, with AWS's codes, statuses and messages.

The messages come from the Developer Guide, "Error handling", where it gives one, and otherwise from
reports of AWS's clients.
"""

from typing import ClassVar


class AWSError(Exception):
    """An error answer, which boto3 raises as a ``ClientError``.

    Each subclass has AWS's code, HTTP status and usual message.

    Args:
        message: replaces the usual message.
    """

    code: ClassVar[str] = "InternalServerError"
    status: ClassVar[int] = 400
    default_message: ClassVar[str] = ""

    def __init__(self, message: str | None = None) -> None:
        self.message = self.default_message if message is None else message
        super().__init__(self.message)


class ConflictException(AWSError):
    """The collection already has a user with this id."""

    code = "ConflictException"


class IdempotentParameterMismatchException(AWSError):
    """The ClientRequestToken was used with another request before."""

    code = "IdempotentParameterMismatchException"
    default_message = (
        "A ClientRequestToken input parameter was reused with an operation, but at least one of "
        "the other input parameters is different from the previous call to the operation."
    )


class ImageTooLargeException(AWSError):
    """The image has too many bytes or too many pixels."""

    code = "ImageTooLargeException"
    default_message = "Image size is too large."


class InternalServerError(AWSError):
    """The service failed. Clients may repeat the request."""

    code = "InternalServerError"
    status = 500
    default_message = "Internal server error"


class InvalidImageFormatException(AWSError):
    """The bytes are not a complete JPEG or PNG file."""

    code = "InvalidImageFormatException"
    default_message = "Request has invalid image format"


class InvalidPaginationTokenException(AWSError):
    """The NextToken does not belong to this list."""

    code = "InvalidPaginationTokenException"
    default_message = "Invalid Pagination Token"


class InvalidParameterException(AWSError):
    """The request is well formed, but cannot be performed."""

    code = "InvalidParameterException"
    default_message = "Request has invalid parameters"


class InvalidS3ObjectException(AWSError):
    """The S3 object does not exist, or may not be read."""

    code = "InvalidS3ObjectException"
    default_message = (
        "Unable to get object metadata from S3. Check object key, region and/or access permissions."
    )


class NotImplementedException(AWSError):
    """The operation exists on AWS, but this service does not implement it.

    AWS has no such code. The status is 4xx, because clients repeat a request after a 5xx.
    """

    code = "NotImplementedException"


class RequestEntityTooLargeException(AWSError):
    """The request is larger than any valid request."""

    code = "RequestEntityTooLargeException"
    status = 413
    default_message = "Request entity too large"


class ResourceAlreadyExistsException(AWSError):
    """A collection with this id exists already."""

    code = "ResourceAlreadyExistsException"


class ResourceNotFoundException(AWSError):
    """The collection, user or tagged resource does not exist."""

    code = "ResourceNotFoundException"


class SerializationException(AWSError):
    """The body is not JSON, or a value in it has the wrong type."""

    code = "SerializationException"


class ServiceQuotaExceededException(AWSError):
    """A user would have too many faces, or a collection too many tags."""

    code = "ServiceQuotaExceededException"


class ThrottlingException(AWSError):
    """The service is busy. Clients may repeat the request."""

    code = "ThrottlingException"
    default_message = "Slow down; signal your request rate"


class UnknownOperationException(AWSError):
    """Rekognition has no operation with this name."""

    code = "UnknownOperationException"


class ValidationException(AWSError):
    """A value breaks a constraint of the service model: required, length, range, pattern, enum."""

    code = "ValidationException"
