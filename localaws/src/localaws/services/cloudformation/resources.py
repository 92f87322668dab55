"""How the resources of a template are made: by the calls that their services take."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from localaws.services.cloudformation.template import MadeResource, Template, TemplateError

Properties = Mapping[str, Any]

_MISSING = frozenset(
    {
        "404",
        "NoSuchBucket",
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NotFound",
        "NotFoundException",
    }
)


class ResourceType(ABC):
    """A type of resource. Calls fail as its service does."""

    identifier: str | None = None
    """The property that tells one from another; None where AWS makes it up, as an id or address.

    CloudFormation gives a name to what has none, and adopts what is there by its name only.
    """

    def __init__(self, session: boto3.Session) -> None:
        """Take the session with which the service is called."""
        self.session = session

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        return _client(self.session, service)

    @abstractmethod
    def exists(self, properties: Properties) -> bool:
        """Say whether there is a resource of this name already."""

    @abstractmethod
    def create(self, properties: Properties) -> None:
        """Make it, with what it cannot be without."""

    def update(self, properties: Properties) -> None:  # noqa: B027 - some have nothing else
        """Give one that is there all else that the properties say."""

    @abstractmethod
    def made(self, properties: Properties) -> MadeResource:
        """Tell what the template can refer to."""

    @abstractmethod
    def delete(self, properties: Properties) -> None:
        """Take it away."""


def _client(session: Any, service: str) -> Any:
    """Return a session's client of a service, which is made once."""
    clients = session.__dict__.setdefault("_localaws_clients", {})
    if service not in clients:
        clients[service] = session.client(service)
    return clients[service]


def _found(look: Callable[..., Any], **arguments: Any) -> bool:
    try:
        look(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return False
        raise
    return True


class Bucket(ResourceType):
    """``AWS::S3::Bucket``."""

    identifier = "BucketName"

    def exists(self, properties: Properties) -> bool:
        return _found(self.client("s3").head_bucket, Bucket=properties["BucketName"])

    def create(self, properties: Properties) -> None:
        s3 = self.client("s3")
        region = s3.meta.region_name
        where: dict[str, Any] = {}
        if region != "us-east-1":  # which S3 refuses to be told
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

    def made(self, properties: Properties) -> MadeResource:
        name = properties["BucketName"]
        region = self.session.region_name
        return MadeResource(
            name,
            Arn=f"arn:aws:s3:::{name}",
            DomainName=f"{name}.s3.amazonaws.com",
            RegionalDomainName=f"{name}.s3.{region}.amazonaws.com",
        )

    def delete(self, properties: Properties) -> None:
        self.client("s3").delete_bucket(Bucket=properties["BucketName"])


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Write a rule of a template as S3's API has it."""
    given = {key: value for key, value in rule.items() if key != "ExpiredObjectDeleteMarker"}
    if "ExpiredObjectDeleteMarker" in rule:
        marker = rule["ExpiredObjectDeleteMarker"]
        given["Expiration"] = {"ExpiredObjectDeleteMarker": marker}
    return {"ID": given.pop("Id"), "Filter": {"Prefix": given.pop("Prefix", "")}, **given}


class BucketPolicy(ResourceType):
    """``AWS::S3::BucketPolicy``.

    Left out are statements about encrypted connections, since this server has no others than plain
    ones and the bucket could not be used at all; and those for AWS's own services.
    """

    identifier = "Bucket"

    def exists(self, properties: Properties) -> bool:
        return False  # a policy is put, whatever was there

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

    def made(self, properties: Properties) -> MadeResource:
        return MadeResource(properties["Bucket"])

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
        return _found(self.client("dynamodb").describe_table, TableName=properties["TableName"])

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

    def made(self, properties: Properties) -> MadeResource:
        name = properties["TableName"]
        found = self.client("dynamodb").describe_table(TableName=name)
        return MadeResource(name, Arn=found["Table"]["TableArn"])

    def delete(self, properties: Properties) -> None:
        self.client("dynamodb").delete_table(TableName=properties["TableName"])


class Collection(ResourceType):
    """``AWS::Rekognition::Collection``."""

    identifier = "CollectionId"

    def exists(self, properties: Properties) -> bool:
        describe = self.client("rekognition").describe_collection
        return _found(describe, CollectionId=properties["CollectionId"])

    def create(self, properties: Properties) -> None:
        self.client("rekognition").create_collection(CollectionId=properties["CollectionId"])

    def made(self, properties: Properties) -> MadeResource:
        name = properties["CollectionId"]
        found = self.client("rekognition").describe_collection(CollectionId=name)
        return MadeResource(name, Arn=found["CollectionARN"])

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
        return _found(self.client("sqs").get_queue_url, QueueName=properties["QueueName"])

    def create(self, properties: Properties) -> None:
        self.client("sqs").create_queue(
            QueueName=properties["QueueName"], Attributes=self._attributes(properties)
        )

    def update(self, properties: Properties) -> None:
        self.client("sqs").set_queue_attributes(
            QueueUrl=self.made(properties).reference, Attributes=self._attributes(properties)
        )

    def made(self, properties: Properties) -> MadeResource:
        sqs, name = self.client("sqs"), properties["QueueName"]
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = found["Attributes"]["QueueArn"]
        return MadeResource(url, Arn=arn, QueueName=name, QueueUrl=url)

    def delete(self, properties: Properties) -> None:
        self.client("sqs").delete_queue(QueueUrl=self.made(properties).reference)


class Topic(ResourceType):
    """``AWS::SNS::Topic``."""

    def _arn(self, properties: Properties) -> str:
        # Which makes none where there is one of this name.
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

    def made(self, properties: Properties) -> MadeResource:
        arn = self._arn(properties)
        return MadeResource(arn, TopicArn=arn, TopicName=properties["TopicName"])

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

    def made(self, properties: Properties) -> MadeResource:
        names = [properties["AlarmName"]]
        [found] = self.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        return MadeResource(properties["AlarmName"], Arn=found["AlarmArn"])

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
        json.loads(properties["DashboardBody"])  # CloudWatch refuses what is no JSON
        self.client("cloudwatch").put_dashboard(
            DashboardName=properties["DashboardName"], DashboardBody=properties["DashboardBody"]
        )

    def update(self, properties: Properties) -> None:
        self.create(properties)

    def made(self, properties: Properties) -> MadeResource:
        return MadeResource(properties["DashboardName"])

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

    def made(self, properties: Properties) -> MadeResource:
        identifier = self._find(properties) or ""
        return MadeResource(identifier, Id=identifier)

    def delete(self, properties: Properties) -> None:
        self.client("cloudfront").delete_origin_access_control(Id=self._find(properties))


class ResponseHeadersPolicy(ResourceType):
    """``AWS::CloudFront::ResponseHeadersPolicy``.

    It is nothing but what the template says: nobody here serves a distribution's answers.
    """

    def exists(self, properties: Properties) -> bool:
        return False

    def create(self, properties: Properties) -> None:
        pass

    def made(self, properties: Properties) -> MadeResource:
        name = properties["ResponseHeadersPolicyConfig"]["Name"]
        return MadeResource(name, Id=name)

    def delete(self, properties: Properties) -> None:
        pass


class Distribution(ResourceType):
    """``AWS::CloudFront::Distribution``, which is told by its comment."""

    def _config(self, properties: Properties) -> dict[str, Any]:
        """Write a template's configuration as CloudFront's API has it, with counted lists."""
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

    def made(self, properties: Properties) -> MadeResource:
        found = self._find(properties)
        return MadeResource(found["Id"], Id=found["Id"], DomainName=found["DomainName"])

    def delete(self, properties: Properties) -> None:
        cloudfront, identifier = self.client("cloudfront"), self._find(properties)["Id"]
        etag = cloudfront.get_distribution(Id=identifier)["ETag"]
        cloudfront.delete_distribution(Id=identifier, IfMatch=etag)


def _counted(value: Any) -> Any:
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
        TemplateError: it cannot be made here.
    """
    try:
        return TYPES[resource["Type"]]
    except KeyError as error:
        raise TemplateError(f"Unrecognized resource types: [{resource['Type']}]") from error


def make(session: boto3.Session, template: Template) -> dict[str, str]:
    """Make what is missing of a template's resources, and give all what it says of them.

    It may be called again and again, and needs no stack.

    Returns:
        The template's outputs.

    Raises:
        TemplateError: the template cannot be worked off.
        botocore.exceptions.ClientError: a service refuses.
    """
    made: dict[str, MadeResource] = {}
    for name in template.in_order():
        resource = type_of(template.resources[name])(session)
        properties = template.properties(name, made)
        if not resource.exists(properties):
            resource.create(properties)
        resource.update(properties)
        made[name] = resource.made(properties)
    return template.outputs(made)
