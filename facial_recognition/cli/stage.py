"""A stage of the service, as the people who run it see it: its settings and what it keeps."""

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


class Stage:
    """Bucket, tables and collection of a stage, under the operator's own credentials."""

    def __init__(self, name: str) -> None:
        """Take over a stage's environment.

        Raises:
            facial_recognition.infra.stages.UnknownStage: there is none of that name.
            chalicelib.settings.SettingsError: a setting of it cannot be used.
        """
        stages.use(name)
        self.name = name
        settings = Settings.from_environment(os.environ)
        # Who may read the table has nothing hidden by words.
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
        """The ARN of whoever runs the command, for the audit trail."""
        return str(boto3.client("sts").get_caller_identity()["Arn"])
