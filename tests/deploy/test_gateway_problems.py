"""API Gateway's own refusals are problems of the API's form on a deployed API."""

from types import SimpleNamespace
from typing import Any

from facial_recognition.infra.application import answer_with_problems
from laboratory import ECHO, IAM, Laboratory, signed


def test_quotes_in_a_refusal_of_api_gateway_are_escaped(laboratory: Laboratory) -> None:
    security: Any = IAM["paths"]["/"]["post"]
    api = laboratory.api(
        laboratory.function(ECHO), **{**IAM, "paths": {"/{any}": {"post": security}}}
    )
    session = laboratory.session()
    keys = (session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    path = "/%22a%22"
    stage: Any = SimpleNamespace(environment={}, config={"api_gateway_stage": "stage"})
    clients: Any = laboratory

    def refused() -> Any:
        return api.send(path=path, headers=signed(api, *keys, path=path)).json()

    message = refused()["message"]
    answer_with_problems(clients, stage, api.id, "*")

    problem = refused()
    assert problem["code"] == "forbidden"
    assert problem["detail"] == message
    assert message.endswith('/POST/"a"')
