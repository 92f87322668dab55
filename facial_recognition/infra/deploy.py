"""Deploy a stage to AWS, as often as wanted: the data, the application, and what is around it.

    python -m facial_recognition.infra.deploy --stage prod

What is asked for by options is kept in ``.chalice/config.json`` and holds for later deploys, as do
the names of what was made there and in the policy files.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from chalicelib.settings import Settings, SettingsError
from facial_recognition.infra import adopt, application, data, pages, stages
from facial_recognition.infra.record import PROJECT, Record
from facial_recognition.infra.stages import FORGET, Names, Stage, UnknownStage

OPTIONAL = {
    "alarms": "nobody is told when photographs fail to be indexed, or of errors and slowness",
    "usage-plan": "there are no API keys, and no limits to what a caller may ask for",
    "pages": "nobody can register and verify in a browser",
    "concurrency": "a big upload is throttled by Rekognition, and takes longer for it",
    "gateway-responses": "errors that API Gateway answers itself are no problem details",
}
"""Steps that may be left out, and what is then missing."""

_DENIED = re.compile(r"not authorized to perform:? ([\w-]+:[\w*]+)(?:.*?on resource:? (\S+))?")
_NOT_SEEN_YET = "Unable to validate the following destination configurations"
"""What S3 says of a function just after it was permitted to invoke it."""
_WAITS_FOR_S3 = (3, 6, 12, 24)
"""Seconds."""
_LONGEST_BUCKET = 63
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class DeployError(Exception):
    """The deploy cannot go on; the message tells what to do."""


class ChaliceFailed(DeployError):
    """A command of Chalice's has failed."""

    def __init__(self, said: str) -> None:
        """Take what it said, which it wraps into lines."""
        self.said = " ".join(said.split())
        super().__init__(explain(self.said) or "chalice failed; above it says why")


class Place(NamedTuple):
    """Where a stage is deployed to."""

    account: str
    region: str


def locate(session: boto3.Session) -> Place:
    """Find out where a session's calls go to.

    Raises:
        DeployError: there is no Rekognition.
    """
    account = session.client("sts").get_caller_identity()["Account"]
    region = session.region_name
    known = session.get_available_regions("rekognition")
    if region not in known:
        raise DeployError(f"there is no Rekognition in {region}, but in {', '.join(known)}")
    return Place(account, region)


def bucket_name(app: str, stage: str, place: Place) -> str:
    """Name the bucket of a stage's photographs; names of buckets are those of the whole world.

    Raises:
        DeployError: the name would be too long.
    """
    name = f"{app}-{stage}-data-{place.account}-{place.region}"
    if len(name) > _LONGEST_BUCKET:
        longest = _LONGEST_BUCKET - len(name) + len(stage)
        raise DeployError(
            f"the name {stage} is too long for a stage: in {place.region} it may have {longest}"
            " characters, since its bucket is named by it"
        )
    return name


def keep_to_quota(stage: Stage, region: str) -> None:
    """Let a stage index more slowly where Rekognition allows less, unless it says how fast."""
    if region in application.FAST_REGIONS or stage.environment.get("INDEX_RATE"):
        return
    stage.environment["INDEX_RATE"] = str(application.SLOW_INDEX_RATE)
    report(
        f"  warning: INDEX_RATE is {application.SLOW_INDEX_RATE} now, since Rekognition allows 5"
        f" IndexFaces a second in {region}; if Service Quotas grants more, set it in"
        " .chalice/config.json"
    )


class Deploy:
    """One deploy of one stage."""

    def __init__(self, session: boto3.Session, stage: Stage) -> None:
        """Take where it goes to, and what."""
        self._session = session
        self._stage = stage
        self._warned: set[str] = set()

    def run(self) -> str:
        """Deploy.

        Returns:
            The API's address.

        Raises:
            DeployError: something has to be changed first.
            botocore.exceptions.ClientError: AWS refuses a call.
        """
        self._locate()
        queue_arn = self._make_data()
        self._adapt()
        api_id, url = self._deploy_application()
        # Before the pages: an account in which they cannot be made is not left without a key.
        self._surround(api_id, queue_arn)
        if not self._is_left_out("pages"):
            pages_url = self._make_pages(url)
            if self._let_call(pages_url):  # which the bucket and the API have to be told
                self._make_data()
                self._adapt()
                self._deploy_application()
                self._answer_with_problems(api_id)
        return self._address(api_id, url)

    def _locate(self) -> None:
        """Find out where this goes to."""
        self._place = locate(self._session)
        report(f"stage {self._stage.name}: account {self._place.account}, {self._place.region}")
        keep_to_quota(self._stage, self._place.region)

    def _make_data(self) -> str:
        """Make or adopt the data resources, and note their names in the stage's environment.

        Returns:
            The ARN of the queue for failed events.
        """
        step("data")
        environment = self._stage.environment
        options = self._stage.deploy
        if options.get("data_stack") == "existing":
            settings = Settings.from_environment(environment)
            return adopt.adopt(self._session, settings, report)
        default = Settings.from_environment({}).faces_bucket
        if environment.get("FACES_BUCKET", default) in (default, f"{default}-{self._stage.name}"):
            environment["FACES_BUCKET"] = bucket_name(
                self._stage.api_name, self._stage.name, self._place
            )
        given = data.parameters(
            Settings.from_environment(environment),
            self._stage.application,
            self._stage.config.get("api_gateway_stage", "api"),
            alarms=not self._is_left_out("alarms"),
            alarm_email=options.get("alarm_email", ""),
        )
        stack = data.stack_name(self._stage.application)
        made, is_new = data.deploy(self._session, stack, data.TEMPLATE, given, report)
        if is_new:
            report(
                "  S3 may not find what is put into a new bucket in its first quarter of an hour:"
                f" faces check --repair --stage {self._stage.name} then indexes what was missed"
            )
        environment["FACES_BUCKET"] = made["BucketName"]
        environment["FACES_TABLE"] = made["TableName"]
        environment["FACES_AUDIT_TABLE"] = made["AuditTableName"]
        environment["FACES_COLLECTION"] = made["CollectionId"]
        environment["FAILED_EVENTS_QUEUE"] = made["FailedEventsQueue"]
        return made["FailedEventsArn"]

    def _adapt(self) -> None:
        """Write the names of what there is into the configuration and the policies."""
        stage = self._stage
        self._reserve()
        stage.save()
        settings = Settings.from_environment(stage.environment)
        names = Names(settings, self._place.account, self._place.region)
        for function, file in stage.policy_files().items():
            policy = json.loads(file.read_text())
            pointed = stages.point(policy, names, stage.function_name(function))
            lets_go = not settings.keep_photographs and function != FORGET
            adapted = stages.let_go(pointed, names, wanted=lets_go)
            adapted = stages.trace(adapted, wanted=stage.config.get("xray", False))
            file.write_text(json.dumps(adapted, indent=2) + "\n")

    def _reserve(self) -> None:
        """Reserve as many executions for indexing as stay below IndexFaces' quota."""
        settings = Settings.from_environment(self._stage.environment)
        handler = self._stage.config["lambda_functions"]["index_photograph"]
        handler.pop("reserved_concurrency", None)
        if self._is_left_out("concurrency"):
            return
        concurrency = application.concurrency_for(settings.index_rate)
        if application.may_reserve(self._session, concurrency):
            handler["reserved_concurrency"] = concurrency
        else:
            report(
                "  warning: this account has too few concurrent executions to reserve"
                f" {concurrency}: {OPTIONAL['concurrency']}. Ask for more at Service Quotas."
            )

    def _deploy_application(self) -> tuple[str, str]:
        """Run ``chalice deploy``.

        Returns:
            The id of the REST API and its address.
        """
        step("application")
        record = Record(self._session, self._stage)
        self._run_chalice(record)
        record.store()
        api = record.rest_api()
        assert api is not None, "a deploy makes an API"
        return api["rest_api_id"], api["rest_api_url"]

    def _run_chalice(self, record: Record) -> None:
        """Deploy by Chalice, again while S3 has not seen yet that it may invoke the functions."""
        waits = iter(_WAITS_FOR_S3)
        while True:
            record.fetch()
            try:
                chalice("deploy", "--stage", self._stage.name)
            except ChaliceFailed as error:
                seconds = next(waits, None)
                if seconds is None or _NOT_SEEN_YET not in error.said:
                    raise
            else:
                return
            report(f"S3 may not invoke the functions yet: once more in {seconds} seconds ...")
            time.sleep(seconds)

    def _make_pages(self, api_url: str) -> str:
        """Make bucket and distribution of the pages, and put the pages there.

        Returns:
            Their address.
        """
        step("pages")
        settings = Settings.from_environment(self._stage.environment)
        auth = settings.auth
        assert auth != "iam", "which pages are refused with"
        config = pages.PagesConfig(api_url, auth, self._place.region)
        report("the first time it takes CloudFront some minutes")
        try:
            made, _ = data.deploy(
                self._session,
                pages.stack_name(self._stage.application),
                pages.TEMPLATE,
                {"ApiOrigin": config.api_origin, "PhotographBucket": settings.faces_bucket},
                report,
            )
        except data.StackFailed as error:
            raise DeployError(
                f"{error}. All but the pages is deployed; if this account can have none:"
                " WITHOUT=pages"
            ) from None
        pages.publish(self._session, made["BucketName"], made["DistributionId"], config)
        report(f"published: {made['PagesUrl']}")
        return made["PagesUrl"]

    def _let_call(self, origin: str) -> bool:
        """Let the pages call the API, unless other pages were named; say if that is new."""
        environment, options = self._stage.environment, self._stage.deploy
        if options.get("cors_origin") or environment.get("CORS_ORIGIN") == origin:
            return False
        environment["CORS_ORIGIN"] = origin
        return True

    def _address(self, api_id: str, url: str) -> str:
        """Return where the API answers: the embedded AWS serves it below its own address."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        if not endpoint:
            return url
        gateway_stage = self._stage.config["api_gateway_stage"]
        return f"{endpoint.rstrip('/')}/restapis/{api_id}/{gateway_stage}/_user_request_/"

    def _surround(self, api_id: str, queue_arn: str) -> None:
        """Do what Chalice does not."""
        step("around it")
        settings = Settings.from_environment(self._stage.environment)
        application.keep_failed_events(self._session, self._stage, queue_arn)
        report("failed events go to their queue")
        application.keep_logs(self._session, self._stage)
        report(f"logs are kept for {application.LOG_DAYS} days")
        self._answer_with_problems(api_id)
        if settings.auth == "api-key":
            self._give_key(api_id)
        if settings.auth == "none":
            report("  warning: AUTH=none: whoever knows the address may register and verify")

    def _answer_with_problems(self, api_id: str) -> None:
        """Set API Gateway's own answers, which each ``chalice deploy`` takes away."""
        if self._is_left_out("gateway-responses"):
            return
        origin = Settings.from_environment(self._stage.environment).cors_origin
        application.answer_with_problems(self._session, self._stage, api_id, origin)
        report("API Gateway answers with problem details")

    def _give_key(self, api_id: str) -> None:
        key = application.give_key(self._session, self._stage, api_id)
        report("API key, which callers send as x-api-key:")
        show = f"aws apigateway get-api-key --api-key {key} --include-value --query value"
        report(f"  {show} --output text")

    def _is_left_out(self, step: str) -> bool:
        left_out = step in self._stage.deploy.get("without", [])
        if left_out and step not in self._warned:
            self._warned.add(step)
            report(f"  warning: without {step}: {OPTIONAL[step]}")
        return left_out


def step(name: str) -> None:
    """Tell which part begins."""
    print(f"\n{name}", flush=True)


def report(line: str) -> None:
    """Tell what happens."""
    print(f"  {line}", flush=True)


def chalice(*arguments: str) -> None:
    """Run a command of Chalice's in the project, and show what it says.

    Raises:
        ChaliceFailed: it failed.
    """
    command = [str(Path(sys.executable).with_name("chalice")), *arguments]
    process = subprocess.Popen(  # noqa: S603
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        report(line.rstrip())
    if process.wait():
        raise ChaliceFailed("".join(said))


def explain(message: str) -> str:
    """Say which permission an error of AWS is about; nothing if about none."""
    denied = _DENIED.search(message)
    if denied is None:
        return ""
    where = f" on {denied[2]}" if denied[2] else ""
    return (
        f"you lack the permission {denied[1]}{where}. docs/deployment.md has the policy that a"
        " deploy needs, and what can be left out of it"
    )


def refuse_local(stage: Stage) -> None:
    """Refuse the stage that is for this machine.

    Raises:
        DeployError: it is that one.
    """
    if "AWS_ENDPOINT_URL" in stage.environment:
        raise DeployError(
            f"the stage {stage.name} is for the embedded AWS of this machine; name another:"
            " STAGE=prod"
        )


def take_options(stage: Stage, options: argparse.Namespace) -> None:
    """Note in the configuration what was asked for.

    Raises:
        DeployError: it is not allowed.
    """
    refuse_local(stage)
    environment, kept = stage.environment, stage.deploy
    if options.auth:
        environment["AUTH"] = options.auth
    if options.cors_origin:
        environment["CORS_ORIGIN"] = kept["cors_origin"] = options.cors_origin
    _take_retention(environment, options.forget_after_days)
    if environment.get("AUTH") == "none" and not options.open_to_all:
        raise DeployError(
            "AUTH=none lets anybody register and verify. If that is wanted: OPEN_TO_ALL=yes"
        )
    if options.role_arn:
        if not _ROLE_ARN.fullmatch(options.role_arn):
            raise DeployError("ROLE_ARN is like arn:aws:iam::123456789012:role/LabRole")
        stage.config.update(manage_iam_role=False, iam_role_arn=options.role_arn)
    if options.data_stack:
        kept["data_stack"] = options.data_stack
    if options.alarm_email:
        if not _EMAIL.fullmatch(options.alarm_email):
            raise DeployError("ALARM_EMAIL is no e-mail address")
        kept["alarm_email"] = options.alarm_email
    if options.without is not None:
        kept["without"] = options.without.replace(",", " ").split()
        if unknown := sorted(set(kept["without"]) - set(OPTIONAL)):
            raise DeployError(
                f"{', '.join(unknown)} cannot be left out, only {', '.join(OPTIONAL)}"
            )
    settings = Settings.from_environment(environment)
    if settings.auth == "api-key" and "usage-plan" in kept.get("without", []):
        raise DeployError(
            "an API key opens nothing without a usage plan: AUTH=iam, AUTH=cognito or AUTH=none"
        )
    if settings.auth == "iam" and "pages" not in kept.get("without", []):
        raise DeployError("the pages cannot sign requests: with AUTH=iam say WITHOUT=pages")


def _take_retention(environment: dict[str, str], days: int | None) -> None:
    """Note from when on verifications count, where persons are forgotten for want of them."""
    if days is not None:
        environment["FORGET_AFTER_DAYS"] = str(days)
    if environment.get("FORGET_AFTER_DAYS", "0") == "0":
        environment.pop("VERIFICATIONS_NOTED_SINCE", None)
    else:
        environment.setdefault("VERIFICATIONS_NOTED_SINCE", f"{datetime.now(UTC):%Y-%m-%d}")


def main() -> int:
    """Deploy a stage."""
    parser = argparse.ArgumentParser(
        prog="python -m facial_recognition.infra.deploy", description=__doc__
    )
    parser.add_argument("--stage", required=True, help="a new one is made like prod")
    parser.add_argument("--auth", help="who may call: api-key, iam, cognito or none")
    parser.add_argument("--open-to-all", action="store_true", help="yes, AUTH=none is wanted")
    parser.add_argument("--cors-origin", help="origin of the pages that may call the API")
    parser.add_argument("--role-arn", help="role of the functions; without it each gets its own")
    parser.add_argument(
        "--data-stack",
        choices=["existing", "own"],
        help="existing: take over bucket, table and collection that are there",
    )
    parser.add_argument(
        "--forget-after-days",
        type=int,
        metavar="DAYS",
        help="forget whom no photograph was verified as for so long; 0 is never",
    )
    parser.add_argument("--alarm-email", help="address that hears of alarms")
    parser.add_argument("--without", help=f"leave out: {', '.join(OPTIONAL)}")
    return guarded(_run, parser.parse_args())


def _run(options: argparse.Namespace) -> None:
    session = boto3.Session()
    try:
        stage = Stage(options.stage)
    except UnknownStage:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,19}", options.stage):
            raise DeployError("a stage is named with up to 20 small letters and digits") from None
        # Before the first file of the new stage is written.
        bucket_name(Stage("prod").api_name, options.stage, locate(session))
        stage = Stage.like_prod(options.stage)
    take_options(stage, options)
    url = Deploy(session, stage).run()
    print(f"\ndeployed: {url}")


def guarded(work: Any, options: argparse.Namespace) -> int:
    """Do something, and tell in one line what keeps it from being done.

    Returns:
        The exit code.
    """
    try:
        work(options)
    except NoCredentialsError:
        message = "there are no AWS credentials: run aws configure, or set AWS_PROFILE"
    except NoRegionError:
        message = "there is no region: set AWS_DEFAULT_REGION, or run aws configure"
    except (ClientError, BotoCoreError) as error:
        message = explain(str(error)) or str(error)
    except (
        DeployError,
        UnknownStage,
        SettingsError,
        adopt.NotAdoptable,
        data.StackFailed,
        ProfileNotFound,
    ) as error:
        message = str(error)
    else:
        return 0
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
