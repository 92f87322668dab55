"""Failures of moto: the layer that turns its exceptions into answers of AWS's form."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from xml.parsers.expat import ExpatError

from botocore.model import OperationNotFoundError
from flask import Flask
from moto.moto_server.werkzeug_app import create_backend_app
from yaml import YAMLError

from localaws.errors import DataNotStored
from localaws.outage import ERRORS
from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_OF_BAD_INPUT: Final = (
    ArithmeticError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    StopIteration,
    ExpatError,
    YAMLError,
)
"""What code raises for a request that lacks a member, or has one of another type or too deep."""

_logger = logging.getLogger(__name__)


def create_raising_app(service: Any) -> Flask:
    """Return moto's application for a service; its exceptions reach the layers above."""
    app: Flask = create_backend_app(service)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


def answer_failures(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that answers for moto, and for the layers that complete it, where they fail.

    They check few requests. One that they do not expect makes them raise an exception somewhere,
    and AWS would refuse it.
    """
    try:
        return [b"".join(inner(environ, start_response))]
    except DataNotStored:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in ERRORS:  # the layer of the disk tells it
            raise
        request = request_of(environ)
        if isinstance(error, OperationNotFoundError):
            refused = RequestRefused("UnknownOperationException", "There is no such operation.")
        elif isinstance(error, NotImplementedError):
            refused = RequestRefused("NotImplemented", "moto does not have this operation.", 501)
        elif isinstance(error, _OF_BAD_INPUT):
            code = "InvalidRequest" if request.protocol == "rest-xml" else "ValidationException"
            refused = RequestRefused(code, "The request is not one that the service understands.")
        else:
            _logger.exception("moto failed in %s", request.operation)
            refused = RequestRefused("InternalError", "The service has failed.", 500)
        return error_response(request, refused)(environ, start_response)
