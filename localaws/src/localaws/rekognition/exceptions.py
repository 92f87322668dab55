"""The errors of Rekognition, with AWS's codes, statuses and messages.

Messages are those of the Developer Guide, "Error handling", where it gives one, and otherwise those
that AWS's clients report.
"""

from typing import ClassVar


class AWSError(Exception):
    """An answer other than 200: what boto3 turns into a ``ClientError``.

    A subclass carries the code that AWS gives and the message it usually gives with it.
    """

    code: ClassVar[str] = "InternalServerError"
    status: ClassVar[int] = 400
    default_message: ClassVar[str] = ""

    def __init__(self, message: str | None = None) -> None:
        self.message = self.default_message if message is None else message
        super().__init__(self.message)


class ConflictException(AWSError):
    """There is a user of that name in the collection already."""

    code = "ConflictException"


class IdempotentParameterMismatchException(AWSError):
    """The ClientRequestToken came with another request before."""

    code = "IdempotentParameterMismatchException"
    default_message = (
        "A ClientRequestToken input parameter was reused with an operation, but at least one of "
        "the other input parameters is different from the previous call to the operation."
    )


class ImageTooLargeException(AWSError):
    """The image has more bytes, or more pixels, than are accepted."""

    code = "ImageTooLargeException"
    default_message = "Image size is too large."


class InternalServerError(AWSError):
    """Something failed that is no fault of the client; clients try again."""

    code = "InternalServerError"
    status = 500
    default_message = "Internal server error"


class InvalidImageFormatException(AWSError):
    """The bytes are not a whole JPEG or PNG."""

    code = "InvalidImageFormatException"
    default_message = "Request has invalid image format"


class InvalidPaginationTokenException(AWSError):
    """The NextToken is not one that was given out for this list."""

    code = "InvalidPaginationTokenException"
    default_message = "Invalid Pagination Token"


class InvalidParameterException(AWSError):
    """The request is well formed, but what it asks for cannot be done."""

    code = "InvalidParameterException"
    default_message = "Request has invalid parameters"


class InvalidS3ObjectException(AWSError):
    """The S3 object is not there, or may not be read."""

    code = "InvalidS3ObjectException"
    default_message = (
        "Unable to get object metadata from S3. Check object key, region and/or access permissions."
    )


class NotImplementedException(AWSError):
    """An operation that AWS has and this service has not.

    A code of our own with a 4xx status: clients repeat a request after a 5xx.
    """

    code = "NotImplementedException"


class RequestEntityTooLargeException(AWSError):
    """The request has more bytes than any valid request needs."""

    code = "RequestEntityTooLargeException"
    status = 413
    default_message = "Request entity too large"


class ResourceAlreadyExistsException(AWSError):
    """There is a collection of that name already."""

    code = "ResourceAlreadyExistsException"


class ResourceNotFoundException(AWSError):
    """There is no such collection, user or tagged resource."""

    code = "ResourceNotFoundException"


class SerializationException(AWSError):
    """The body is not JSON, or a value in it has the wrong type."""

    code = "SerializationException"


class ServiceQuotaExceededException(AWSError):
    """A user has all the faces, or a collection all the tags, that it can have."""

    code = "ServiceQuotaExceededException"


class UnknownOperationException(AWSError):
    """Rekognition has no operation of that name."""

    code = "UnknownOperationException"


class ValidationException(AWSError):
    """A value breaks a constraint of the service model: required, length, range, pattern, enum."""

    code = "ValidationException"
