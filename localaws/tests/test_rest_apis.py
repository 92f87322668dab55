"""Deployed REST APIs answer as API Gateway does."""

import base64
import json
import time
from typing import Any

import pytest

from laboratory import ECHO, IAM, Api, Laboratory, signed
from localaws.account import ACCOUNT_ID
from localaws.services.apigateway import rest_apis

ANSWERS_WHAT_IT_IS_TOLD = """
    import json
    def handler(event, context):
        return json.loads(event["body"])
"""
KEY = {
    "paths": {"/": {"post": {"security": [{"api_key": []}]}}},
    "securityDefinitions": {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}},
}


def test_a_function_is_told_all_of_a_request(laboratory: Laboratory) -> None:
    paths = {"/people/{id}/{rest+}": {"x-amazon-apigateway-any-method": {}}, "/people/me/x": {}}
    api = laboratory.api(laboratory.function(ECHO), paths=paths)
    answer = api.send(
        "PUT",
        "/people/a%20%C3%BC/c/d?q=1&q=2&r=",
        json={"a": "ü"},
        headers={"X-Own": "value"},
    )
    event = answer.json()

    assert answer.status_code == 201
    assert (answer.headers["X-One"], answer.headers["X-Two"]) == ("1", "a, b")
    assert event["resource"] == "/people/{id}/{rest+}"
    assert event["path"] == "/people/a ü/c/d"
    assert event["pathParameters"] == {"id": "a ü", "rest": "c/d"}
    assert event["httpMethod"] == "PUT"
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "2"], "r": [""]}
    assert event["queryStringParameters"] == {"q": "2", "r": ""}
    assert event["headers"]["X-Own"] == "value"
    assert json.loads(event["body"]) == {"a": "ü"}
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert (context["apiId"], context["stage"], context["accountId"]) == (
        api.id,
        "stage",
        ACCOUNT_ID,
    )


@pytest.mark.parametrize(("method", "path"), [("GET", "/no"), ("DELETE", "/"), ("GET", "/a/b")])
def test_what_is_not_there_asks_for_a_token(laboratory: Laboratory, method: str, path: str) -> None:
    api = laboratory.api(laboratory.function(ECHO))
    answer = api.send(method, path)

    assert answer.status_code == 403
    assert answer.json() == {"message": "Missing Authentication Token"}


def test_binary_bodies_go_both_ways_as_base64(laboratory: Laboratory) -> None:
    content = bytes(range(256))
    function = laboratory.function(
        """
        def handler(event, context):
            assert event["isBase64Encoded"]
            return {"statusCode": 200, "body": event["body"], "isBase64Encoded": True,
                    "headers": {"Content-Type": "image/jpeg"}}
        """
    )
    api = laboratory.api(function, **{"x-amazon-apigateway-binary-media-types": ["image/jpeg"]})
    sent = {"Content-Type": "image/jpeg"}

    wanted = api.send(data=content, headers={**sent, "Accept": "image/jpeg"})
    assert wanted.content == content
    assert wanted.headers["Content-Type"] == "image/jpeg"
    # A caller that does not accept a binary type gets the text.
    assert base64.b64decode(api.send(data=content, headers=sent).content) == content


@pytest.mark.parametrize(
    "answer",
    [
        {"body": "no status"},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": "ok", "body": ""},
        {"statusCode": 200, "body": "", "headers": {"a": {"not": "text"}}},
        "text",
        None,
    ],
)
def test_a_malformed_answer_is_a_bad_gateway(laboratory: Laboratory, answer: Any) -> None:
    api = laboratory.api(laboratory.function(ANSWERS_WHAT_IT_IS_TOLD))
    found = api.send(json=answer) if answer is not None else api.send(data="null")

    assert (found.status_code, found.json()) == (502, {"message": "Internal server error"})


def test_an_error_of_the_function_is_a_bad_gateway(laboratory: Laboratory) -> None:
    api = laboratory.api(laboratory.function(ANSWERS_WHAT_IT_IS_TOLD))
    found = api.send(data="no JSON")

    assert (found.status_code, found.json()) == (502, {"message": "Internal server error"})


def test_what_takes_too_long_is_a_gateway_timeout(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_apis, "TIMEOUT", 0.2)
    api = laboratory.api(
        laboratory.function("import time\ndef handler(event, context): time.sleep(30)")
    )
    found = api.send()

    assert (found.status_code, found.json()) == (504, {"message": "Endpoint request timed out"})


@pytest.mark.parametrize("size", [6 * 1024 * 1024, 11 * 1024 * 1024])
def test_what_is_too_large_is_refused(laboratory: Laboratory, size: int) -> None:
    api = laboratory.api(laboratory.function(ECHO))
    found = api.send(data=b"x" * size)

    assert (found.status_code, found.json()) == (413, {"message": "Request Too Long"})


def test_an_api_that_may_not_invoke_its_function_fails(laboratory: Laboratory) -> None:
    api = laboratory.api(laboratory.function(ECHO), permitted=False)
    found = api.send()

    assert (found.status_code, found.json()) == (500, {"message": "Internal server error"})


# --- callers --------------------------------------------------------------------------------


def test_a_key_is_needed_of_a_plan_of_the_stage(laboratory: Laboratory) -> None:
    api = laboratory.api(laboratory.function(ECHO), **KEY)
    gateway = laboratory.client("apigateway")

    def status(key: dict[str, Any] | None) -> int:
        return api.send(headers={"x-api-key": key["value"]} if key else {}).status_code

    keys = {
        name: gateway.create_api_key(name=name, enabled=name != "disabled")
        for name in ("ours", "disabled", "other stage", "of no plan")
    }
    for name, stage in (("ours", "stage"), ("disabled", "stage"), ("other stage", "other")):
        stages = [{"apiId": api.id, "stage": stage}]
        plan = gateway.create_usage_plan(name=name, apiStages=stages)
        gateway.create_usage_plan_key(
            usagePlanId=plan["id"], keyId=keys[name]["id"], keyType="API_KEY"
        )

    assert status(keys["ours"]) == 201
    assert status(None) == 403
    assert [status(keys[n]) for n in ("disabled", "other stage", "of no plan")] == [403] * 3
    assert api.send(headers={"x-api-key": "x" * 20}).json() == {"message": "Forbidden"}


def test_a_usage_plan_limits_how_often_a_key_is_used(laboratory: Laboratory) -> None:
    api = laboratory.api(laboratory.function(ECHO), **KEY)
    gateway = laboratory.client("apigateway")
    key = gateway.create_api_key(name="key", enabled=True)
    plan = gateway.create_usage_plan(
        name="plan",
        apiStages=[{"apiId": api.id, "stage": "stage"}],
        throttle={"rateLimit": 0.001, "burstLimit": 2},
    )
    gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    answers = [api.send(headers={"x-api-key": key["value"]}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[-1].json() == {"message": "Too Many Requests"}


@pytest.mark.parametrize("parameters", [{"position": "abc"}, {"limit": -1}])
def test_a_wrong_position_in_a_listing_is_refused(
    laboratory: Laboratory, parameters: dict[str, Any]
) -> None:
    gateway = laboratory.client("apigateway")

    with pytest.raises(gateway.exceptions.BadRequestException):
        gateway.get_api_keys(**parameters)


def test_an_api_can_ask_for_signatures(laboratory: Laboratory) -> None:
    api = laboratory.api(laboratory.function(ECHO), **IAM)

    own = laboratory.aws.access_key
    keys = (own.access_key_id, own.secret_access_key)

    assert api.send(headers=signed(api, *keys)).status_code == 201
    for headers in ({}, signed(api, "AKIA", "secret"), signed(api, own.access_key_id, "wrong")):
        assert api.send(headers=headers).status_code == 403
    other_body = signed(api, *keys)
    assert api.send(headers=other_body, data="changed").status_code == 403


@pytest.mark.parametrize(("action", "status"), [("execute-api:Invoke", 201), ("s3:*", 403)])
def test_a_role_needs_the_right_to_invoke_an_api(
    laboratory: Laboratory, action: str, status: int
) -> None:
    api = laboratory.api(laboratory.function(ECHO), **IAM)
    resource = f"arn:aws:execute-api:*:*:{api.id}/stage/POST/"
    session = laboratory.session({"Effect": "Allow", "Action": action, "Resource": resource})
    keys = (session["AccessKeyId"], session["SecretAccessKey"])

    assert api.send(headers=signed(api, *keys, session["SessionToken"])).status_code == status
    assert api.send(headers=signed(api, *keys, "another token")).status_code == 403


def a_pool(laboratory: Laboratory, name: str) -> tuple[str, dict[str, str]]:
    """Make a pool with one user, and return its ARN and the user's tokens."""
    cognito = laboratory.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName=name)["UserPool"]
    ours = {"UserPoolId": pool["Id"]}
    flow = "ADMIN_NO_SRP_AUTH"
    client = cognito.create_user_pool_client(**ours, ClientName="c", ExplicitAuthFlows=[flow])
    secret = "Secret-1234"
    cognito.admin_create_user(**ours, Username="ada")
    cognito.admin_set_user_password(**ours, Username="ada", Password=secret, Permanent=True)
    answer = cognito.admin_initiate_auth(
        **ours,
        ClientId=client["UserPoolClient"]["ClientId"],
        AuthFlow=flow,
        AuthParameters={"USERNAME": "ada", "PASSWORD": secret},
    )
    return pool["Arn"], answer["AuthenticationResult"]


def for_users_of(laboratory: Laboratory, pool_arn: str) -> Api:
    """Make an API for the users of a pool."""
    scheme = {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "x-amazon-apigateway-authtype": "cognito_user_pools",
        "x-amazon-apigateway-authorizer": {
            "type": "cognito_user_pools",
            "providerARNs": [pool_arn],
        },
    }
    return laboratory.api(
        laboratory.function(ECHO),
        paths={"/": {"post": {"security": [{"users": []}]}}},
        securityDefinitions={"users": scheme},
    )


def test_an_api_can_ask_for_users_of_a_pool(laboratory: Laboratory) -> None:
    pool, tokens = a_pool(laboratory, "ours")
    _, others = a_pool(laboratory, "other")
    api = for_users_of(laboratory, pool)
    answer = api.send(headers={"Authorization": tokens["IdToken"]})

    assert answer.status_code == 201
    claims = answer.json()["requestContext"]["authorizer"]["claims"]
    assert claims["cognito:username"] == "ada"
    forged = tokens["IdToken"][:-8] + "AAAAAAAA"
    for wrong in ("", "x", forged, others["IdToken"], tokens["AccessToken"]):
        refused = api.send(headers={"Authorization": wrong})
        assert (refused.status_code, refused.json()) == (401, {"message": "Unauthorized"})


def test_a_token_is_good_for_an_hour(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, tokens = a_pool(laboratory, "ours")
    api = for_users_of(laboratory, pool)
    now = time.time()
    for minutes, status in ((59, 201), (61, 401)):
        monkeypatch.setattr(
            "localaws.services.apigateway.authorization.now", lambda m=minutes: now + 60 * m
        )
        assert api.send(headers={"Authorization": tokens["IdToken"]}).status_code == status


# --- gateway responses ----------------------------------------------------------------------


def test_refusals_can_be_put_into_words_of_ones_own(laboratory: Laboratory) -> None:
    api = laboratory.api(laboratory.function(ECHO), **KEY)
    gateway = laboratory.client("apigateway")
    gateway.put_gateway_response(
        restApiId=api.id,
        responseType="DEFAULT_4XX",
        responseParameters={"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"},
        responseTemplates={
            "application/problem+json": '{"detail": $context.error.messageString,'
            ' "code": "$context.error.responseType", "requestId": "$context.requestId"}'
        },
    )
    gateway.put_gateway_response(
        restApiId=api.id, responseType="MISSING_AUTHENTICATION_TOKEN", statusCode="404"
    )
    forbidden = api.send()

    assert forbidden.status_code == 403
    assert forbidden.headers["Content-Type"] == "application/problem+json"
    assert forbidden.headers["Access-Control-Allow-Origin"] == "*"
    assert forbidden.json() == {
        "detail": "Forbidden",
        "code": "INVALID_API_KEY",
        "requestId": forbidden.headers["x-amzn-RequestId"],
    }
    missing = api.send(path="/missing")
    assert (missing.status_code, missing.json()) == (
        404,
        {"message": "Missing Authentication Token"},
    )


def test_an_import_that_overwrites_takes_the_owners_words_away(laboratory: Laboratory) -> None:
    api = laboratory.api(laboratory.function(ECHO), **KEY)
    gateway = laboratory.client("apigateway")
    gateway.put_gateway_response(restApiId=api.id, responseType="INVALID_API_KEY", statusCode="401")
    exported: Any = {"swagger": "2.0", "info": {"version": "1.0", "title": "api"}, "paths": {}}

    for mode, status in (("merge", "401"), ("overwrite", "403")):
        gateway.put_rest_api(restApiId=api.id, mode=mode, body=json.dumps(exported).encode())
        found = gateway.get_gateway_responses(restApiId=api.id)["items"]
        by_type = {answer["responseType"]: answer.get("statusCode", "403") for answer in found}
        assert by_type.get("INVALID_API_KEY", "403") == status


def test_quotes_in_api_gateways_words_are_escaped_where_that_is_asked_for(
    laboratory: Laboratory,
) -> None:
    security: Any = IAM["paths"]["/"]["post"]
    api = laboratory.api(
        laboratory.function(ECHO), **{**IAM, "paths": {"/{any}": {"post": security}}}
    )
    session = laboratory.session()
    keys = (session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    path = "/%22a%22"

    def refused(template: str) -> str:
        laboratory.client("apigateway").put_gateway_response(
            restApiId=api.id,
            responseType="ACCESS_DENIED",
            responseTemplates={"application/json": template},
        )
        answer = api.send(path=path, headers=signed(api, *keys, path=path))
        assert answer.status_code == 403
        return answer.text

    assert refused("$context.error.message").endswith('/POST/"a"')
    said = refused("$context.error.messageString")
    assert json.loads(said).endswith('/POST/"a"')


def test_a_preflight_is_answered_without_a_function(laboratory: Laboratory) -> None:
    integration = {
        "type": "mock",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "responses": {
            "default": {
                "statusCode": "200",
                "responseParameters": {
                    "method.response.header.Access-Control-Allow-Origin": "'https://a.example'"
                },
            }
        },
    }
    paths = {"/": {"options": {"x-amazon-apigateway-integration": integration}}}
    api = laboratory.api(laboratory.function(ECHO), paths=paths)
    answer = api.send("OPTIONS")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert laboratory.aws.deployed.pids() == []
