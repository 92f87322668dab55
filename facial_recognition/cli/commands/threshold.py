"""``faces threshold``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facial_recognition.cli.commands.options import Json, Rate, StageName
from facial_recognition.cli.display import Display
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.exit_codes import DONE, FAILED
from facial_recognition.cli.stage import OpenStage

if TYPE_CHECKING:
    from facial_recognition.cli.threshold import Recommendation


def threshold(
    *,
    photos: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Contains a folder per person.")
    ],
    false_accepts: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Wanted share of strangers accepted.")
    ] = 0.001,
    at: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, help="Measure this threshold too (default: the stage's setting)."
        ),
    ] = None,
    plot: Annotated[Path, typer.Option(dir_okay=False, help="PNG or SVG file to draw.")] = Path(
        "threshold.png"
    ),
    rate: Rate = None,
    stage: StageName = "dev",
    as_json: Json = False,
) -> int:
    """Recommend a threshold, measured on your own photographs.

    Each photograph costs two calls to Rekognition.
    """
    _check_plot(plot)  # before the measurement, which costs money
    # matplotlib, numpy and scipy take a second to import.
    from facial_recognition.cli.plot import draw  # noqa: PLC0415
    from facial_recognition.cli.threshold import measure, recommend  # noqa: PLC0415

    display = Display(as_json=as_json)
    opened = OpenStage(stage)
    with display.progress() as progress:
        people, similarities, failed = measure(
            opened, photos, rate=rate or opened.settings.index_rate, progress=progress
        )
    asked = opened.settings.face_match_threshold if at is None else at
    report = recommend(people, similarities, failed, wanted=false_accepts, at=asked)
    if as_json:
        display.json(report)
    else:
        _show(display, report)
    draw(similarities, report.recommended, false_accepts, plot)
    if not as_json:
        display.say(f"The plot is in {plot}.")
    return FAILED if report.recommended is None else DONE


def _check_plot(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".svg"):
        raise CannotDo(f"The name of the plot has to end in .png or .svg: {path}.", "plot")
    if not os.access(path.parent, os.W_OK):
        raise CannotDo(f"The folder {path.parent} does not exist or is not writable.", "plot")


def _show(display: Display, report: "Recommendation") -> None:
    display.failures(report.failed)
    display.say(f"{report.photographs} photographs of {report.people} people")
    display.table(*_error_rates(report))
    display.say(
        f"Each bound holds with {report.confidence:.0%} confidence for similar people. Pairs share"
        f" people, so {report.impostor_design_effect:.1f} pairs of two people, or"
        f" {report.genuine_design_effect:.1f} of one person, count as one independent pair."
    )
    if report.people < report.least_people:
        display.say(
            f"{report.people} people are too few to recommend a threshold for others, or to trust"
            f" these bounds. Take photographs of at least {report.least_people} people."
        )
    elif report.recommended is None:
        display.say(
            f"These photographs can show no false accept rate below {report.lowest_rate:.2g}."
            f" For {report.wanted:g}, take photographs of more people."
        )


def _error_rates(report: "Recommendation") -> tuple[list[str], list[tuple[str, ...]]]:
    """Return headings and rows of a table of error rates: a column per threshold."""
    measured = [("asked for", report.at)]
    if report.recommended is not None:
        measured.insert(0, ("recommended", report.recommended))
    rows: list[tuple[str, ...]] = [
        ("threshold", *(f"{rates.threshold:g}" for _, rates in measured))
    ]
    for kind, found in (
        ("false accepts", [rates.false_accepts for _, rates in measured]),
        ("false rejects", [rates.false_rejects for _, rates in measured]),
    ):
        rows += [
            (kind, *(f"{rate.errors} of {rate.pairs}" for rate in found)),
            ("  rate", *(f"{rate.rate:.2g}" for rate in found)),
            ("  between", *(f"{rate.low:.2g} and {rate.high:.2g}" for rate in found)),
        ]
    return ["", *(heading for heading, _ in measured)], rows
