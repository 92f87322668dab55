from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from localaws.server import EmbeddedAWS

TABLE = "numbers"


@pytest.fixture
def dynamodb(aws: EmbeddedAWS) -> Any:
    aws.reset()
    client = boto3.client(
        "dynamodb",
        endpoint_url=aws.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return client


def test_a_transaction_that_fails_undoes_its_own_changes_and_nobody_elses(dynamodb: Any) -> None:
    dynamodb.put_item(TableName=TABLE, Item={"id": {"S": "kept"}, "n": {"N": "1"}})

    def fail(number: int) -> None:
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": TABLE, "Item": {"id": {"S": f"undone {number}"}}}},
                    {
                        "Update": {
                            "TableName": TABLE,
                            "Key": {"id": {"S": "kept"}},
                            "UpdateExpression": "SET n = :two",
                            "ExpressionAttributeValues": {":two": {"N": "2"}},
                        }
                    },
                    {
                        "Delete": {
                            "TableName": TABLE,
                            "Key": {"id": {"S": "missing"}},
                            "ConditionExpression": "attribute_exists(id)",
                        }
                    },
                ]
            )

    def write(number: int) -> None:
        dynamodb.put_item(TableName=TABLE, Item={"id": {"S": f"written {number}"}})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: (fail if n % 2 else write)(n), range(200)))

    items = {i["id"]["S"]: i for i in dynamodb.scan(TableName=TABLE)["Items"]}
    assert set(items) == {"kept"} | {f"written {n}" for n in range(0, 200, 2)}
    assert items["kept"]["n"] == {"N": "1"}
