"""The types of resources: each is created, changed and deleted by calls to its service."""

import json
from collections.abc import Mapping
from typing import Any

import boto3

from localaws.services.cloudformation.resource_type import Properties, ResourceType, finds
from localaws.services.cloudformation.template import PhysicalResource, Template, TemplateError


class Bucket(ResourceType):
    """``AWS::S3::Bucket``."""

    identifier = "BucketName"

    def exists(self, properties: Properties) -> bool:
        return finds(self.client("s3").head_bucket, Bucket=properties["BucketName"])

    def create(self, properties: Properties) -> None:
        s3 = self.client("s3")
        region = s3.meta.region_name
        where: dict[str, Any] = {}
        if region != "us-east-1":  # S3 refuses this one as a constraint
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=properties["BucketName"], **where)

    def update(self, properties: Properties) -> None:
        s3, bucket = self.client("s3"), properties["BucketName"]
        if versioning := properties.get("VersioningConfiguration"):
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
        if access := properties.get("PublicAccessBlockConfiguration"):
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=access)
        if ownership := properties.get("OwnershipControls"):
            s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=ownership)
        if encryption := properties.get("BucketEncryption"):
            rules = [
                {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
                for rule in encryption["ServerSideEncryptionConfiguration"]
            ]
            s3.put_bucket_encryption(
                Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules}
            )
        if lifecycle := properties.get("LifecycleConfiguration"):
            rules = [_lifecycle_rule(rule) for rule in lifecycle["Rules"]]
            s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": rules}
            )
        if cors := properties.get("CorsConfiguration"):
            names = {"MaxAge": "MaxAgeSeconds"}
            rules = [{names.get(k, k): v for k, v in rule.items()} for rule in cors["CorsRules"]]
            s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})

    def describe(self, properties: Properties) -> PhysicalResource:
        name = properties["BucketName"]
        region = self.session.region_name
        return PhysicalResource(
            name,
            Arn=f"arn:aws:s3:::{name}",
            DomainName=f"{name}.s3.amazonaws.com",
            RegionalDomainName=f"{name}.s3.{region}.amazonaws.com",
        )

    def delete(self, properties: Properties) -> None:
        self.client("s3").delete_bucket(Bucket=properties["BucketName"])


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule of a template in the form of S3's API."""
    given = {key: value for key, value in rule.items() if key != "ExpiredObjectDeleteMarker"}
    if "ExpiredObjectDeleteMarker" in rule:
        marker = rule["ExpiredObjectDeleteMarker"]
        given["Expiration"] = {"ExpiredObjectDeleteMarker": marker}
    return {"ID": given.pop("Id"), "Filter": {"Prefix": given.pop("Prefix", "")}, **given}


class BucketPolicy(ResourceType):
    """``AWS::S3::BucketPolicy``.

    Statements that demand encrypted connections are left out: this server has plain connections
    only, so they would close the bucket. Statements for AWS's own services are left out too.
    """

    identifier = "Bucket"

    def exists(self, properties: Properties) -> bool:
        return False  # a new policy replaces the old one

    def create(self, properties: Properties) -> None:
        document = properties["PolicyDocument"]
        statements = [
            statement
            for statement in document["Statement"]
            if "aws:SecureTransport" not in statement.get("Condition", {}).get("Bool", {})
            and "Service" not in statement["Principal"]
        ]
        if statements:
            policy = json.dumps({**document, "Statement": statements})
            self.client("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=policy)

    def describe(self, properties: Properties) -> PhysicalResource:
        return PhysicalResource(properties["Bucket"])

    def delete(self, properties: Properties) -> None:
        self.client("s3").delete_bucket_policy(Bucket=properties["Bucket"])


class Table(ResourceType):
    """``AWS::DynamoDB::Table``."""

    identifier = "TableName"

    _AT_CREATION = (
        "TableName",
        "BillingMode",
        "AttributeDefinitions",
        "KeySchema",
        "GlobalSecondaryIndexes",
        "DeletionProtectionEnabled",
    )

    def exists(self, properties: Properties) -> bool:
        return finds(self.client("dynamodb").describe_table, TableName=properties["TableName"])

    def create(self, properties: Properties) -> None:
        given = {key: properties[key] for key in self._AT_CREATION if key in properties}
        if encryption := properties.get("SSESpecification"):
            given["SSESpecification"] = {"Enabled": encryption["SSEEnabled"]}
        self.client("dynamodb").create_table(**given)

    def update(self, properties: Properties) -> None:
        dynamodb, table = self.client("dynamodb"), properties["TableName"]
        if recovery := properties.get("PointInTimeRecoverySpecification"):
            dynamodb.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification=recovery
            )
        if "DeletionProtectionEnabled" in properties:
            protected = properties["DeletionProtectionEnabled"]
            dynamodb.update_table(TableName=table, DeletionProtectionEnabled=protected)

    def describe(self, properties: Properties) -> PhysicalResource:
        name = properties["TableName"]
        found = self.client("dynamodb").describe_table(TableName=name)
        return PhysicalResource(name, Arn=found["Table"]["TableArn"])

    def delete(self, properties: Properties) -> None:
        self.client("dynamodb").delete_table(TableName=properties["TableName"])


class Collection(ResourceType):
    """``AWS::Rekognition::Collection``."""

    identifier = "CollectionId"

    def exists(self, properties: Properties) -> bool:
        describe = self.client("rekognition").describe_collection
        return finds(describe, CollectionId=properties["CollectionId"])

    def create(self, properties: Properties) -> None:
        self.client("rekognition").create_collection(CollectionId=properties["CollectionId"])

    def describe(self, properties: Properties) -> PhysicalResource:
        name = properties["CollectionId"]
        found = self.client("rekognition").describe_collection(CollectionId=name)
        return PhysicalResource(name, Arn=found["CollectionARN"])

    def delete(self, properties: Properties) -> None:
        self.client("rekognition").delete_collection(CollectionId=properties["CollectionId"])


class Queue(ResourceType):
    """``AWS::SQS::Queue``."""

    def _attributes(self, properties: Properties) -> dict[str, str]:
        return {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in properties.items()
            if key != "QueueName"
        }

    def exists(self, properties: Properties) -> bool:
        return finds(self.client("sqs").get_queue_url, QueueName=properties["QueueName"])

    def create(self, properties: Properties) -> None:
        self.client("sqs").create_queue(
            QueueName=properties["QueueName"], Attributes=self._attributes(properties)
        )

    def update(self, properties: Properties) -> None:
        self.client("sqs").set_queue_attributes(
            QueueUrl=self.describe(properties).reference, Attributes=self._attributes(properties)
        )

    def describe(self, properties: Properties) -> PhysicalResource:
        sqs, name = self.client("sqs"), properties["QueueName"]
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = found["Attributes"]["QueueArn"]
        return PhysicalResource(url, Arn=arn, QueueName=name, QueueUrl=url)

    def delete(self, properties: Properties) -> None:
        self.client("sqs").delete_queue(QueueUrl=self.describe(properties).reference)


class Topic(ResourceType):
    """``AWS::SNS::Topic``."""

    def _arn(self, properties: Properties) -> str:
        # It returns the existing topic of this name.
        arn = self.client("sns").create_topic(Name=properties["TopicName"])["TopicArn"]
        return str(arn)

    def exists(self, properties: Properties) -> bool:
        pages = self.client("sns").get_paginator("list_topics").paginate()
        ending = f":{properties['TopicName']}"
        return any(t["TopicArn"].endswith(ending) for page in pages for t in page["Topics"])

    def create(self, properties: Properties) -> None:
        self._arn(properties)

    def update(self, properties: Properties) -> None:
        for subscription in properties.get("Subscription", []):
            self.client("sns").subscribe(TopicArn=self._arn(properties), **subscription)

    def describe(self, properties: Properties) -> PhysicalResource:
        arn = self._arn(properties)
        return PhysicalResource(arn, TopicArn=arn, TopicName=properties["TopicName"])

    def delete(self, properties: Properties) -> None:
        self.client("sns").delete_topic(TopicArn=self._arn(properties))


class Alarm(ResourceType):
    """``AWS::CloudWatch::Alarm``."""

    identifier = "AlarmName"

    def exists(self, properties: Properties) -> bool:
        names = [properties["AlarmName"]]
        found = self.client("cloudwatch").describe_alarms(AlarmNames=names)
        return bool(found["MetricAlarms"])

    def create(self, properties: Properties) -> None:
        self.client("cloudwatch").put_metric_alarm(**properties)

    def update(self, properties: Properties) -> None:
        self.create(properties)

    def describe(self, properties: Properties) -> PhysicalResource:
        names = [properties["AlarmName"]]
        [found] = self.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        return PhysicalResource(properties["AlarmName"], Arn=found["AlarmArn"])

    def delete(self, properties: Properties) -> None:
        self.client("cloudwatch").delete_alarms(AlarmNames=[properties["AlarmName"]])


class Dashboard(ResourceType):
    """``AWS::CloudWatch::Dashboard``."""

    identifier = "DashboardName"

    def exists(self, properties: Properties) -> bool:
        name = properties["DashboardName"]
        found = self.client("cloudwatch").list_dashboards(DashboardNamePrefix=name)
        return any(d["DashboardName"] == name for d in found["DashboardEntries"])

    def create(self, properties: Properties) -> None:
        json.loads(properties["DashboardBody"])  # CloudWatch refuses a body that is not JSON
        self.client("cloudwatch").put_dashboard(
            DashboardName=properties["DashboardName"], DashboardBody=properties["DashboardBody"]
        )

    def update(self, properties: Properties) -> None:
        self.create(properties)

    def describe(self, properties: Properties) -> PhysicalResource:
        return PhysicalResource(properties["DashboardName"])

    def delete(self, properties: Properties) -> None:
        self.client("cloudwatch").delete_dashboards(DashboardNames=[properties["DashboardName"]])


class OriginAccessControl(ResourceType):
    """``AWS::CloudFront::OriginAccessControl``."""

    def _find(self, properties: Properties) -> str | None:
        name = properties["OriginAccessControlConfig"]["Name"]
        found = self.client("cloudfront").list_origin_access_controls()["OriginAccessControlList"]
        named = [item["Id"] for item in found.get("Items", []) if item["Name"] == name]
        return named[0] if named else None

    def exists(self, properties: Properties) -> bool:
        return self._find(properties) is not None

    def create(self, properties: Properties) -> None:
        self.client("cloudfront").create_origin_access_control(**properties)

    def describe(self, properties: Properties) -> PhysicalResource:
        identifier = self._find(properties) or ""
        return PhysicalResource(identifier, Id=identifier)

    def delete(self, properties: Properties) -> None:
        self.client("cloudfront").delete_origin_access_control(Id=self._find(properties))


class ResponseHeadersPolicy(ResourceType):
    """``AWS::CloudFront::ResponseHeadersPolicy``.

    Nothing is created: moto lacks these policies, and distributions serve no requests here.
    """

    def exists(self, properties: Properties) -> bool:
        return False

    def create(self, properties: Properties) -> None:
        pass

    def describe(self, properties: Properties) -> PhysicalResource:
        name = properties["ResponseHeadersPolicyConfig"]["Name"]
        return PhysicalResource(name, Id=name)

    def delete(self, properties: Properties) -> None:
        pass


class Distribution(ResourceType):
    """``AWS::CloudFront::Distribution``, identified by its comment."""

    def _config(self, properties: Properties) -> dict[str, Any]:
        """Return a template's configuration in the form of CloudFront's API."""
        given = dict(properties["DistributionConfig"])
        given["IsIPV6Enabled"] = given.pop("IPV6Enabled", True)
        given["CustomErrorResponses"] = [
            {**answer, "ResponseCode": str(answer["ResponseCode"])}
            for answer in given.get("CustomErrorResponses", [])
        ]
        counted: dict[str, Any] = _counted(given)
        return {"CallerReference": given["Comment"], **counted}

    def _find(self, properties: Properties) -> Any:
        comment = properties["DistributionConfig"]["Comment"]
        found = self.client("cloudfront").list_distributions()["DistributionList"]
        return next((d for d in found.get("Items", []) if d["Comment"] == comment), None)

    def exists(self, properties: Properties) -> bool:
        return self._find(properties) is not None

    def create(self, properties: Properties) -> None:
        self.client("cloudfront").create_distribution(DistributionConfig=self._config(properties))

    def describe(self, properties: Properties) -> PhysicalResource:
        found = self._find(properties)
        return PhysicalResource(found["Id"], Id=found["Id"], DomainName=found["DomainName"])

    def delete(self, properties: Properties) -> None:
        cloudfront, identifier = self.client("cloudfront"), self._find(properties)["Id"]
        etag = cloudfront.get_distribution(Id=identifier)["ETag"]
        cloudfront.delete_distribution(Id=identifier, IfMatch=etag)


def _counted(value: Any) -> Any:
    """Return a value with its lists in CloudFront's form, which gives their lengths."""
    if isinstance(value, list):
        return {"Quantity": len(value), "Items": [_counted(item) for item in value]}
    if isinstance(value, dict):
        return {key: _counted(item) for key, item in value.items()}
    return value


TYPES: dict[str, type[ResourceType]] = {
    "AWS::S3::Bucket": Bucket,
    "AWS::S3::BucketPolicy": BucketPolicy,
    "AWS::DynamoDB::Table": Table,
    "AWS::Rekognition::Collection": Collection,
    "AWS::SQS::Queue": Queue,
    "AWS::SNS::Topic": Topic,
    "AWS::CloudWatch::Alarm": Alarm,
    "AWS::CloudWatch::Dashboard": Dashboard,
    "AWS::CloudFront::OriginAccessControl": OriginAccessControl,
    "AWS::CloudFront::ResponseHeadersPolicy": ResponseHeadersPolicy,
    "AWS::CloudFront::Distribution": Distribution,
}


def type_of(resource: Mapping[str, Any]) -> type[ResourceType]:
    """Return the type of a template's resource.

    Raises:
        TemplateError: the type is not supported.
    """
    try:
        return TYPES[resource["Type"]]
    except KeyError as error:
        raise TemplateError(f"Unrecognized resource types: [{resource['Type']}]") from error


def create_resources(session: boto3.Session, template: Template) -> dict[str, str]:
    """Create the missing resources of a template, and update the others, without a stack.

    Repeated calls do no harm.

    Args:
        session: calls the services.
        template: says what to create.

    Returns:
        The template's outputs.

    Raises:
        TemplateError: the template is invalid.
        botocore.exceptions.ClientError: a service refuses a call.
    """
    made: dict[str, PhysicalResource] = {}
    for name in template.in_order():
        resource = type_of(template.resources[name])(session)
        properties = template.properties(name, made)
        if not resource.exists(properties):
            resource.create(properties)
        resource.update(properties)
        made[name] = resource.describe(properties)
    return template.outputs(made)
