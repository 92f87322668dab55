"""Chalice's note of the resources that it deployed, which it needs to update or delete them.

Chalice keeps the note in a file of the project, and writes it at the end of a deploy. A copy in the
stage's bucket lets any machine continue from there. A deploy that fails half-way writes no note,
and the next one would make a second API. So the resources are looked up by the names that Chalice
gives them, and the note is corrected before each command.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3

from facial_recognition.checkout import ROOT
from facial_recognition.infra.stages import API, FORGET, StageConfig

Resource = dict[str, Any]
"""A resource in Chalice's note: its name in the note, its type, and its names and ARNs in AWS."""


class DeployedResources:
    """Chalice's note of one stage, in the project and in the stage's bucket."""

    def __init__(self, session: boto3.Session, stage: StageConfig) -> None:
        """Choose the note to work on.

        Args:
            session: of the account and region.
            stage: the stage; its bucket may not exist yet.
        """
        self._session = session
        self._stage = stage
        self._s3 = session.client("s3")
        self._bucket = stage.environment["FACES_BUCKET"]
        self._key = f".chalice/deployed/{stage.name}.json"
        self._file = ROOT / self._key

    def fetch(self) -> None:
        """Get the note from the bucket unless it is in the project, and correct it.

        Raises:
            botocore.exceptions.ClientError: AWS refuses a call.
        """
        if not self._file.exists():
            with suppress(self._s3.exceptions.NoSuchKey, self._s3.exceptions.NoSuchBucket):
                found = self._s3.get_object(Bucket=self._bucket, Key=self._key)
                self._write(json.loads(found["Body"].read())["resources"])
        looked_up = dict(self._look_up())
        # Resources with other names come from other code. Chalice removes them.
        others = [noted for noted in self.resources() if noted["name"] not in looked_up]
        self._write([*others, *(found for found in looked_up.values() if found)])

    def store(self) -> None:
        """Copy the note into the bucket, for other machines."""
        self._s3.put_object(Bucket=self._bucket, Key=self._key, Body=self._file.read_bytes())

    def remove(self) -> None:
        """Delete the note from the project and from the bucket."""
        self._file.unlink(missing_ok=True)
        with suppress(self._s3.exceptions.NoSuchBucket):
            self._s3.delete_object(Bucket=self._bucket, Key=self._key)

    def resources(self) -> list[Resource]:
        """Return the resources in the note; there are none when nothing is deployed."""
        if not self._file.exists():
            return []
        noted: list[Resource] = json.loads(self._file.read_text())["resources"]
        return noted

    def rest_api(self) -> Resource | None:
        """Return the REST API in the note, or None when it has none."""
        return next((r for r in self.resources() if r["resource_type"] == "rest_api"), None)

    def rest_apis(self) -> list[str]:
        """Return the ids of the REST APIs that call this stage's function.

        The name alone does not tell: the APIs of all stages have the same one.
        """
        named = [api for api, name in self._names_of_apis().items() if name == self._stage.api_name]
        return [api for api in named if self._calls_this_stage(api)]

    def _write(self, resources: list[Resource]) -> None:
        if not resources:
            self._file.unlink(missing_ok=True)
            return
        note = {"resources": resources, "schema_version": "2.0", "backend": "api"}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(note, indent=2) + "\n")

    # --- looking up -------------------------------------------------------------------------

    def _look_up(self) -> Iterator[tuple[str, Resource | None]]:
        """Look up the resources that Chalice makes, in its order.

        Yields:
            The name in the note, and the resource; None where it does not exist.
        """
        for handler in (*self._stage.handlers, FORGET, API):
            if self._stage.config.get("manage_iam_role", True):
                yield f"{handler}_role", self._role(handler)
            function = self._function(handler)
            yield handler, function
            if handler == FORGET:
                # Without the function there is no rule. Not asking for it saves a permission.
                yield f"{handler}-event", self._rule(handler) if function else None
            elif handler != API:
                yield f"{handler}-s3event", self._notification(handler)
        yield "rest_api", self._rest_api()

    def _role(self, handler: str) -> Resource | None:
        iam = self._session.client("iam")
        name = f"{self._stage.application}-{handler}"
        try:
            arn = iam.get_role(RoleName=name)["Role"]["Arn"]
        except iam.exceptions.NoSuchEntityException:
            return None
        return {
            "name": f"{handler}_role",
            "resource_type": "iam_role",
            "role_arn": arn,
            "role_name": name,
        }

    def _function(self, handler: str) -> Resource | None:
        functions = self._session.client("lambda")
        name = self._stage.function_name(handler)
        try:
            arn = functions.get_function_configuration(FunctionName=name)["FunctionArn"]
        except functions.exceptions.ResourceNotFoundException:
            return None
        return {"name": handler, "resource_type": "lambda_function", "lambda_arn": arn}

    def _rule(self, handler: str) -> Resource | None:
        events = self._session.client("events")
        rule = f"{self._stage.application}-{handler}-event"
        try:
            events.describe_rule(Name=rule)
        except events.exceptions.ResourceNotFoundException:
            return None
        return {
            "name": f"{handler}-event",
            "resource_type": "cloudwatch_event",
            "rule_name": rule,
        }

    def _notification(self, handler: str) -> Resource | None:
        noted = next((r for r in self.resources() if r["name"] == f"{handler}-s3event"), None)
        if noted and noted["bucket"] != self._bucket:
            return noted  # the stage has a new bucket, and Chalice removes this from the old one
        name = f":function:{self._stage.function_name(handler)}"
        try:
            found = self._s3.get_bucket_notification_configuration(Bucket=self._bucket)
        except self._s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            return None
        configurations = found.get("LambdaFunctionConfigurations", [])
        arns = [configuration["LambdaFunctionArn"] for configuration in configurations]
        arn = next((arn for arn in arns if arn.endswith(name)), None)
        if arn is None:
            return None
        return {
            "name": f"{handler}-s3event",
            "resource_type": "s3_event",
            "bucket": self._bucket,
            "lambda_arn": arn,
        }

    def _rest_api(self) -> Resource | None:
        noted = self.rest_api()
        if noted and noted["rest_api_id"] in self._names_of_apis():
            return noted
        api_id = next(iter(self.rest_apis()), None)
        if api_id is None:
            return None
        host = f"{api_id}.execute-api.{self._session.region_name}.amazonaws.com"
        return {
            "name": "rest_api",
            "resource_type": "rest_api",
            "rest_api_id": api_id,
            "rest_api_url": f"https://{host}/{self._stage.config['api_gateway_stage']}/",
        }

    def _names_of_apis(self) -> dict[str, str]:
        pages = self._session.client("apigateway").get_paginator("get_rest_apis").paginate()
        return {api["id"]: api["name"] for page in pages for api in page["items"]}

    def _calls_this_stage(self, api_id: str) -> bool:
        """Return whether a method of an API calls the function of this stage."""
        gateway = self._session.client("apigateway")
        function = f":function:{self._stage.application}/invocations"
        pages = gateway.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
        return any(
            method.get("methodIntegration", {}).get("uri", "").endswith(function)
            for page in pages
            for resource in page["items"]
            for method in resource.get("resourceMethods", {}).values()
        )
