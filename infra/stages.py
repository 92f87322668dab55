"""The stages of the application, as ``.chalice/config.json`` describes them."""

import json
import os
from pathlib import Path

CONFIG = Path(__file__).parent.parent / ".chalice" / "config.json"


class UnknownStage(Exception):
    """There is no such stage in the configuration."""


def names() -> list[str]:
    """List the stages."""
    return list(json.loads(CONFIG.read_text())["stages"])


def use(stage: str) -> None:
    """Take over a stage's environment; what is set in the process's own goes before it.

    Raises:
        UnknownStage: there is none of that name; the message names those that there are.
    """
    stages = json.loads(CONFIG.read_text())["stages"]
    if stage not in stages:
        raise UnknownStage(f"There is no stage {stage}; there are {', '.join(stages)}.")
    for name, value in stages[stage].get("environment_variables", {}).items():
        os.environ.setdefault(name, value)
