"""DynamoDB's writes are atomic, however many requests come at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from laboratory import Laboratory

TABLE = "table"


@pytest.fixture
def dynamodb(laboratory: Laboratory) -> Any:
    """A client that takes Python's types for values, and a table with the key ``faceId``."""
    tables = laboratory.tables()
    tables.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "faceId", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "faceId", "KeyType": "HASH"}],
    )
    return tables.meta.client


def test_an_update_of_two_attributes_is_never_seen_in_part(dynamodb: Any) -> None:
    def write(number: int) -> None:
        dynamodb.update_item(
            TableName=TABLE,
            Key={"faceId": f"item-{number % 50}"},
            UpdateExpression="SET a = :n, b = :n",
            ExpressionAttributeValues={":n": number},
        )

    def read(number: int) -> set[str]:
        item = dynamodb.get_item(TableName=TABLE, Key={"faceId": f"item-{number % 50}"})
        return set(item.get("Item", {"a", "b", "faceId"}))

    with ThreadPoolExecutor(16) as pool:
        written = [pool.submit(write, number) for number in range(200)]
        seen = [pool.submit(read, number) for number in range(200)]

    assert [future.result() for future in written] == [None] * 200
    assert [future.result() for future in seen] == [{"a", "b", "faceId"}] * 200


def test_one_of_many_conditional_writes_succeeds(dynamodb: Any) -> None:
    def write(number: int) -> bool:
        try:
            dynamodb.put_item(
                TableName=TABLE,
                Item={"faceId": "only", "number": number},
                ConditionExpression="attribute_not_exists(faceId)",
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        succeeded = list(pool.map(write, range(64)))

    assert sum(succeeded) == 1


def test_a_failed_transaction_undoes_only_its_own_changes(dynamodb: Any) -> None:
    dynamodb.put_item(TableName=TABLE, Item={"faceId": "kept", "n": 1})

    def fail(number: int) -> None:
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": TABLE, "Item": {"faceId": f"undone {number}"}}},
                    {
                        "Update": {
                            "TableName": TABLE,
                            "Key": {"faceId": "kept"},
                            "UpdateExpression": "SET n = :two",
                            "ExpressionAttributeValues": {":two": 2},
                        }
                    },
                    {
                        "Delete": {
                            "TableName": TABLE,
                            "Key": {"faceId": "missing"},
                            "ConditionExpression": "attribute_exists(faceId)",
                        }
                    },
                ]
            )

    def write(number: int) -> None:
        dynamodb.put_item(TableName=TABLE, Item={"faceId": f"written {number}"})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: (fail if n % 2 else write)(n), range(200)))

    items = {i["faceId"]: i for i in dynamodb.scan(TableName=TABLE)["Items"]}
    assert set(items) == {"kept"} | {f"written {n}" for n in range(0, 200, 2)}
    assert items["kept"]["n"] == 1
