"""The commands of ``faces``, in the order of its help.

Each module reads the arguments of its commands and prints their answers. The modules of
``facial_recognition.cli``, ``facial_recognition.infra`` and ``facial_recognition.local`` do the
work.
"""

import typer

from facial_recognition.cli.commands import (
    agreement,
    deployment,
    failed_events,
    local,
    people,
    registration,
    threshold,
    transfer,
    verification,
)

app = typer.Typer(
    name="faces",
    help="Run the face recognition service: register, look up, check, move and forget people.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(registration.register)
app.command()(verification.verify)
app.command(name="people")(people.list_people)
app.command()(people.show)
app.command()(people.audit)
app.command()(people.forget)
app.command()(agreement.check)
app.command(name="export")(transfer.export)
app.command(name="import")(transfer.import_)
app.command()(threshold.threshold)
app.command()(failed_events.redrive)
app.command()(local.run)
app.command()(deployment.deploy)
app.command()(deployment.undeploy)
