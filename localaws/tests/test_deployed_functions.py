"""Deployed functions run as on Lambda: alone, warm, within limits, with their own permissions."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from laboratory import Laboratory, error_of, zipped
from localaws.account import ACCOUNT_ID
from localaws.server import EmbeddedAWS

COUNTER = """
    import os
    count = 0
    def handler(event, context):
        global count
        count += 1
        print("call", count)
        return {"pid": os.getpid(), "count": count, "event": event}
"""
FAILS = """
    def handler(event, context):
        print("tried as", context.aws_request_id)
        raise ValueError("no")
"""


def test_a_function_has_its_own_code_and_boto3_and_nothing_else(laboratory: Laboratory) -> None:
    laboratory.function(
        """
        import os, sys
        def handler(event, context):
            import boto3, botocore, s3transfer, jmespath, dateutil, six, urllib3
            missing = []
            for name in ("chalice", "chalicelib", "localaws", "moto", "numpy", "requests", "pip"):
                try:
                    __import__(name)
                except ImportError:
                    missing.append(name)
            return {
                "missing": missing,
                "name": context.function_name,
                "memory": context.memory_limit_in_mb,
                "left": context.get_remaining_time_in_millis(),
                "here": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"],
                "names": {k: os.environ[k] for k in ("OWN", "AWS_REGION", "AWS_DEFAULT_REGION")},
                "shell": os.environ.get("HOME"),
                "caller": boto3.client("sts").get_caller_identity()["Arn"],
            }
        """,
        Environment={"Variables": {"OWN": "value"}},
        MemorySize=256,
    )

    result = laboratory.call("f")

    assert result["missing"] == [
        "chalice", "chalicelib", "localaws", "moto", "numpy", "requests", "pip",
    ]  # fmt: skip
    assert (result["name"], result["memory"], result["here"]) == ("f", "256", True)
    assert 10_000 < result["left"] <= 20_000
    assert result["names"] == {
        "OWN": "value",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    assert result["shell"] is None
    assert result["caller"] == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/role-of-f/f"


def test_a_process_is_kept_until_code_or_configuration_change(laboratory: Laboratory) -> None:
    laboratory.function(COUNTER)
    first, second = laboratory.call("f"), laboratory.call("f", {"a": ["ü"]})
    assert (second["pid"], second["count"], second["event"]) == (first["pid"], 2, {"a": ["ü"]})

    laboratory.lambda_.update_function_configuration(FunctionName="f", Timeout=19)
    third = laboratory.call("f")
    assert third["count"] == 1
    laboratory.lambda_.update_function_code(
        FunctionName="f", ZipFile=zipped("def handler(event, context): return 'new'")
    )
    assert laboratory.call("f") == "new"
    assert len(laboratory.aws.deployed.pids()) == 1
    for gone in (first, third):
        with pytest.raises(ProcessLookupError):
            os.kill(gone["pid"], 0)


def test_each_process_has_one_event_at_a_time(laboratory: Laboratory) -> None:
    laboratory.function(
        """
        import os, pathlib, time
        def handler(event, context):
            mine, other = map(pathlib.Path, event)
            mine.touch()
            while not other.exists():  # which only comes at the same time
                time.sleep(0.01)
            return os.getpid()
        """
    )
    folder = f"/tmp/{time.time_ns()}"
    with ThreadPoolExecutor(2) as threads:
        pids = threads.map(
            lambda pair: laboratory.call("f", pair),
            [(f"{folder}-1", f"{folder}-2"), (f"{folder}-2", f"{folder}-1")],
        )

        assert len(set(pids)) == 2


def test_what_is_printed_goes_to_the_log(laboratory: Laboratory) -> None:
    laboratory.function(
        """
        import logging, sys
        def handler(event, context):
            print("out")
            print("err", file=sys.stderr)
            logging.getLogger().warning("warned")
            raise LookupError("lost")
        """
    )
    error = laboratory.call("f")
    lines = laboratory.logged()

    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "lost")
    assert lines[0].startswith("START RequestId: ")
    assert lines[1:3] == ["out\n", "err\n"]
    assert lines[3].startswith("[WARNING]")
    assert lines[4].startswith("[ERROR] LookupError: lost\nTraceback")
    assert lines[-2].startswith("END RequestId: ")
    assert "Billed Duration: " in lines[-1]


def test_a_cold_start_is_told_in_the_first_report_only(laboratory: Laboratory) -> None:
    laboratory.function(COUNTER)
    assert [laboratory.call("f")["count"] for _ in range(2)] == [1, 2]

    reports = [line for line in laboratory.logged() if line.startswith("REPORT RequestId: ")]
    assert ["Init Duration: " in report for report in reports] == [True, False]


def test_a_log_that_was_deleted_is_begun_again(laboratory: Laboratory) -> None:
    laboratory.function(COUNTER)
    for count in (1, 2):  # by the same process
        assert laboratory.call("f")["count"] == count
        assert len([line for line in laboratory.logged() if line.startswith("START")]) == 1
        laboratory.client("logs").delete_log_group(logGroupName="/aws/lambda/f")


def test_who_may_not_write_logs_has_none(laboratory: Laboratory) -> None:
    laboratory.function(COUNTER)
    laboratory.iam.delete_role_policy(RoleName="role-of-f", PolicyName="policy")

    assert laboratory.call("f")["count"] == 1
    assert laboratory.logged() == []
    assert [(one.action, one.allowed) for one in laboratory.aws.permissions.asked] == [
        ("logs:PutLogEvents", False)
    ]


def test_a_function_that_takes_too_long_is_killed(laboratory: Laboratory) -> None:
    laboratory.function(
        """
        import os, time
        def handler(event, context):
            if event:
                time.sleep(60)
            return os.getpid()
        """,
        Timeout=1,
    )
    pid = laboratory.call("f")
    error = laboratory.call("f", True)

    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert any("Task timed out after 1.00 seconds" in line for line in laboratory.logged())
    assert laboratory.call("f") != pid


def test_a_function_that_takes_too_much_memory_is_killed(laboratory: Laboratory) -> None:
    laboratory.function(
        """
        def handler(event, context):
            len(b"x" * (event * 1024 ** 2))
            return "done"
        """,
        MemorySize=128,
    )

    assert laboratory.call("f", 40) == "done"
    error = laboratory.call("f", 400)
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert laboratory.call("f", 40) == "done"


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import nothing_of_that_name", "Runtime.ImportModuleError", "Unable to import module"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("import os; os._exit(3)", "Runtime.ExitError", "exit status 3"),
        ("def other(): pass", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
    ],
)
def test_a_function_that_cannot_start_says_why(
    laboratory: Laboratory, source: str, kind: str, message: str
) -> None:
    laboratory.function(source)
    error = laboratory.call("f")

    assert error["errorType"] == kind
    assert message in error["errorMessage"]


def test_a_function_that_exits_says_how(laboratory: Laboratory) -> None:
    laboratory.function("import os\ndef handler(event, context): os._exit(event)")

    assert laboratory.call("f", 7)["errorMessage"].endswith("exit status 7")


def test_a_result_may_have_six_megabytes(laboratory: Laboratory) -> None:
    laboratory.function("def handler(event, context): return 'x' * event")

    assert len(laboratory.call("f", 6_000_000)) == 6_000_000
    assert laboratory.call("f", 7_000_000)["errorType"] == "Function.ResponseSizeTooLarge"


def test_reserved_concurrency_is_not_exceeded(laboratory: Laboratory) -> None:
    laboratory.function(COUNTER)
    for reserved in (0, 1):
        laboratory.lambda_.put_function_concurrency(
            FunctionName="f", ReservedConcurrentExecutions=reserved
        )
        if not reserved:
            status, code, _ = error_of(laboratory.lambda_.invoke, FunctionName="f")
            assert (status, code) == (429, "TooManyRequestsException")
    assert laboratory.call("f")["count"] == 1

    # Events that arrive together wait for each other, and none is lost.
    for _ in range(4):
        laboratory.lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b"{}")
    laboratory.aws.functions.drain()
    assert laboratory.call("f")["count"] == 6
    assert len(laboratory.aws.deployed.pids()) == 1


# --- events ---------------------------------------------------------------------------------


def test_an_event_is_tried_three_times_under_one_id(laboratory: Laboratory) -> None:
    laboratory.function(FAILS)
    answer = laboratory.lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b"{}")
    tried = [line for line in laboratory.logged() if line.startswith("tried as")]

    assert answer["StatusCode"] == 202
    assert (len(tried), len(set(tried))) == (3, 1)


@pytest.mark.parametrize(
    ("options", "tries", "condition"),
    [
        ({"MaximumRetryAttempts": 0}, 1, "RetriesExhausted"),
        ({"MaximumRetryAttempts": 1}, 2, "RetriesExhausted"),
        # AWS waits one minute before the second attempt, and two before the third.
        ({"MaximumEventAgeInSeconds": 90}, 2, "EventAgeExceeded"),
    ],
)
def test_an_event_that_is_given_up_goes_to_its_destination(
    laboratory: Laboratory, options: dict[str, int], tries: int, condition: str
) -> None:
    queue = laboratory.queue()
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue}
    laboratory.function(FAILS, send)
    laboratory.lambda_.put_function_event_invoke_config(
        FunctionName="f", **options, DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    laboratory.lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"a": 1}')

    (record,) = laboratory.received()
    assert record["requestContext"]["approximateInvokeCount"] == tries
    assert record["requestContext"]["condition"] == condition
    assert record["requestPayload"] == {"a": 1}
    assert record["responsePayload"]["errorMessage"] == "no"
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_nothing_goes_to_a_destination_without_the_right_to_send(laboratory: Laboratory) -> None:
    laboratory.function(FAILS)
    laboratory.lambda_.put_function_event_invoke_config(
        FunctionName="f",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": laboratory.queue()}},
    )
    laboratory.lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b"{}")

    assert laboratory.received() == []
    assert ("sqs:SendMessage", False) in [
        (one.action, one.allowed) for one in laboratory.aws.permissions.asked
    ]


@pytest.mark.parametrize(
    ("permission", "called"),
    [
        ({}, True),
        ({"SourceArn": "arn:aws:s3:::bucket", "SourceAccount": ACCOUNT_ID}, True),
        ({"SourceArn": "arn:aws:s3:::another"}, False),
        ({"SourceAccount": "210987654321"}, False),
        ({"Principal": "sns.amazonaws.com"}, False),
        (None, False),
    ],
)
def test_s3_may_call_whom_it_is_permitted_to(
    laboratory: Laboratory, permission: dict[str, str] | None, called: bool
) -> None:
    laboratory.function(COUNTER)
    if permission is not None:
        laboratory.lambda_.add_permission(
            FunctionName="f",
            StatementId="s3",
            Action="lambda:InvokeFunction",
            **{"Principal": "s3.amazonaws.com", **permission},
        )
    laboratory.s3.create_bucket(Bucket="bucket")
    arn = laboratory.lambda_.get_function(FunctionName="f")["Configuration"]["FunctionArn"]
    laboratory.s3.put_bucket_notification_configuration(
        Bucket="bucket",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    laboratory.s3.put_object(Bucket="bucket", Key="a", Body=b"1")

    assert bool(laboratory.logged()) is called


# --- ending ---------------------------------------------------------------------------------


def test_a_reset_ends_all_processes(laboratory: Laboratory) -> None:
    laboratory.function(COUNTER)
    pid = laboratory.call("f")["pid"]
    laboratory.aws.reset()

    assert laboratory.aws.deployed.pids() == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert error_of(laboratory.lambda_.invoke, FunctionName="f")[1] == "ResourceNotFoundException"


def test_the_end_of_the_server_ends_a_function_that_is_at_work(laboratory: Laboratory) -> None:
    laboratory.function(
        """
        import pathlib, os, time
        def handler(event, context):
            started = pathlib.Path(event)
            started.with_suffix(".new").write_text(str(os.getpid()))
            started.with_suffix(".new").rename(started)
            time.sleep(600)
        """,
        Timeout=600,
    )
    started = f"/tmp/{time.time_ns()}"
    with EmbeddedAWS() as aws, ThreadPoolExecutor(1) as threads:
        other = Laboratory(aws)  # moto's state is shared in this process
        answer: Any = threads.submit(other.call, "f", started)
        while not os.path.exists(started):
            time.sleep(0.01)
        with open(started) as file:
            pid = int(file.read())
        aws.deployed.stop()

        assert answer.result(timeout=20)["errorMessage"].endswith("signal: killed")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_event_has_to_be_json_and_not_too_large(laboratory: Laboratory) -> None:
    laboratory.function(COUNTER)
    invoke = laboratory.lambda_.invoke

    assert error_of(invoke, FunctionName="f", Payload=b"{")[1] == "InvalidRequestContentException"
    large = json.dumps("x" * 6_400_000).encode()
    status, code, _ = error_of(invoke, FunctionName="f", Payload=large)
    assert (status, code) == (413, "RequestTooLargeException")
