"""``faces deploy`` and ``undeploy``."""

from typing import Annotated, Literal

import boto3
import typer

from facial_recognition.cli.commands.options import stage_names
from facial_recognition.cli.display import Display
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.exit_codes import DONE
from facial_recognition.infra.deploy import deploy_stage
from facial_recognition.infra.options import OPTIONAL_STEPS, DeployOptions, refuse_local_stage
from facial_recognition.infra.reporting import Reporter
from facial_recognition.infra.stages import StageConfig
from facial_recognition.infra.undeploy import delete_all_data, remove_application


def deploy(
    *,
    stage: Annotated[
        str,
        typer.Option(
            help="The stage. A new one gets the settings of prod.", autocompletion=stage_names
        ),
    ],
    auth: Annotated[
        str | None, typer.Option(help="Who may call the API: api-key, iam, cognito or none.")
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Confirm --auth none.")
    ] = False,
    cors_origin: Annotated[
        str | None, typer.Option(help="Origin of the pages that may call the API.")
    ] = None,
    role_arn: Annotated[
        str | None,
        typer.Option(help="Role of all functions. Without it, each function gets its own."),
    ] = None,
    data_stack: Annotated[
        Literal["existing", "own"] | None,
        typer.Option(help="existing adopts the account's bucket, table and collection."),
    ] = None,
    forget_after_days: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", help="Forget people who are not verified for this long; 0 is never."
        ),
    ] = None,
    alarm_email: Annotated[
        str | None, typer.Option(help="Address that alarms are sent to.")
    ] = None,
    without: Annotated[
        str | None, typer.Option(help=f"Steps to leave out, of: {', '.join(OPTIONAL_STEPS)}.")
    ] = None,
) -> int:
    """Deploy a stage to AWS. Options stay in .chalice/config.json for later deploys."""
    display = Display(as_json=False)
    options = DeployOptions(
        auth=auth,
        open_to_all=open_to_all,
        cors_origin=cors_origin,
        role_arn=role_arn,
        data_stack=data_stack,
        alarm_email=alarm_email,
        forget_after_days=forget_after_days,
        without=without,
    )
    url = deploy_stage(stage, options, _reporter(display))
    display.step(f"deployed: {url}")
    return DONE


def undeploy(
    *,
    stage: Annotated[str, typer.Option(help="The stage.", autocompletion=stage_names)],
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete all data too.")
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="BUCKET", help="With --delete-data: the name of the bucket."),
    ] = None,
) -> int:
    """Remove a stage from AWS, and leave its data."""
    display = Display(as_json=False)
    config = StageConfig(stage)
    refuse_local_stage(config)
    session = boto3.Session()
    if delete_data:
        _confirm_deletion(display, config, confirm)
    reporter = _reporter(display)
    remove_application(session, config, reporter)
    if delete_data:
        delete_all_data(session, config, reporter)
    return DONE


def _confirm_deletion(display: Display, stage: StageConfig, confirmed: str | None) -> None:
    bucket = stage.environment["FACES_BUCKET"]
    if confirmed is None:
        confirmed = display.ask(
            f"This deletes all photographs, records and faces of stage {stage.name}. Type the name"
            " of the bucket to continue: "
        )
    if confirmed != bucket:
        raise CannotDo(
            f"Nothing was deleted. To delete all data, add --confirm {bucket} (CONFIRM={bucket}).",
            "not_confirmed",
        )


def _reporter(display: Display) -> Reporter:
    return Reporter(step=display.step, report=display.detail)
