"""The benchmarks report missing photographs."""

import argparse
from pathlib import Path

import pytest

from bench.photos import people_folder


def test_a_folder_of_photographs_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "1.jpg").touch()

    assert people_folder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["", ".", "nowhere"])
def test_a_folder_without_photographs_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(argparse.ArgumentTypeError, match="PHOTOS=DIR"):
        people_folder(name)
