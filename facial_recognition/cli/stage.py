"""A stage that a command works on: its settings, its bucket, its tables and its collection."""

import logging
import os
from functools import cached_property

import boto3
from msgspec.structs import replace

from chalicelib import clients
from chalicelib.audit import AuditTrail
from chalicelib.convergence import Converger
from chalicelib.faces import Faces
from chalicelib.records import Records
from chalicelib.settings import Settings
from chalicelib.storage import Photographs
from facial_recognition.infra import stages


class OpenStage:
    """A stage, used with the operator's own credentials."""

    def __init__(self, name: str) -> None:
        """Set the stage's environment variables in this process, and read the settings.

        Args:
            name: the stage's name.

        Raises:
            facial_recognition.infra.stages.UnknownStage: there is no stage of that name.
            facial_recognition.checkout.NoCheckout: there is no configuration to read.
            chalicelib.settings.SettingsError: a setting of the stage cannot be used.
        """
        # The service logs for CloudWatch. Commands tell errors in their answer.
        logging.getLogger("facial-recognition").setLevel(logging.CRITICAL)
        stages.set_environment(name)
        self.name = name
        settings = Settings.from_environment(os.environ)
        # Operators can read the table, so the service hides nobody from them.
        self.settings = replace(settings, hide_unknown_persons=False)
        self.photographs = Photographs(clients.s3, self.settings.faces_bucket)
        self.records = Records(clients.dynamodb, self.settings.faces_table)
        self.faces = Faces(clients.rekognition, self.settings.faces_collection)
        self.audit = AuditTrail(clients.dynamodb, self.settings.faces_audit_table)
        self.converger = Converger(
            self.photographs, self.records, self.faces, self.audit, self.settings
        )

    @cached_property
    def operator(self) -> str:
        """The ARN of the operator, for the audit trail."""
        return str(boto3.client("sts").get_caller_identity()["Arn"])
