import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facial_recognition.cli.error_rates import Similarities
from facial_recognition.cli.threshold import recommend
from sample_photographs import landscape, photograph
from tests.cli.conftest import Faces
from tests.support.service import Service


def test_it_is_measured_on_photographs(faces: Faces, service: Service, tmp_path: Path) -> None:
    files = {
        "obama/1.jpg": photograph("obama.jpg"),
        "obama/2.jpg": photograph("obama2.jpg"),
        "obama/3.jpg": photograph("obama3.jpg"),
        "biden/1.jpg": photograph("biden.jpg"),
        "biden/sky.jpg": landscape(),
    }
    for name, content in files.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    plot = tmp_path / "plot.png"

    said = faces("threshold", "--photos", tmp_path / "photos", "--plot", plot, "--json")

    # Three pairs of two people cannot show a false accept rate of a thousandth.
    assert said.code == 1
    assert said.json["recommended"] is None
    assert said.json["lowestRate"] > 0.5
    assert (said.json["people"], said.json["photographs"]) == (2, 4)
    assert [Path(f["photograph"]).name for f in said.json["failed"]] == ["sky.jpg"]
    assert said.json["at"]["threshold"] == 95
    assert said.json["at"]["falseAccepts"]["errors"] == 0
    assert said.json["at"]["falseAccepts"]["pairs"] == 3
    assert said.json["at"]["falseRejects"]["errors"] == 0
    assert said.json["at"]["falseRejects"]["pairs"] == 3
    with Image.open(plot) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10
    assert service.rekognition.list_collections()["CollectionIds"] == ["face-collection"]
    easier = ("--false-accepts", "0.5", "--plot", plot, "--at", "99")
    shown = faces("threshold", "--photos", tmp_path / "photos", *easier).out
    assert "confidence" in shown
    assert re.search(r"^threshold +99 *$", shown, re.MULTILINE)
    assert re.search(r"^false accepts +0 of 3 *$", shown, re.MULTILINE)
    assert "2 people are too few to recommend a threshold" in shown


@pytest.mark.parametrize(("people", "is_recommended"), [(5, False), (19, False), (20, True)])
def test_few_people_give_no_recommendation(people: int, is_recommended: bool) -> None:
    names = [f"p{number}" for number in range(people) for _ in range(3)]

    report = recommend(names, similarities(1, people=people), [], wanted=0.1, at=95)

    assert (report.recommended is not None) is is_recommended
    assert report.at.threshold == 95


@pytest.mark.parametrize("plot", ["plot.xyz", "plot", "nowhere/plot.png"])
def test_a_plot_that_cannot_be_drawn_costs_no_call(
    faces: Faces, service: Service, tmp_path: Path, plot: str
) -> None:
    said = faces("threshold", "--photos", tmp_path, "--plot", tmp_path / plot, "--json")

    assert (said.code, said.error["code"]) == (2, "plot")


def test_the_measurement_is_printed_before_it_is_drawn(
    faces: Faces, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("obama", "biden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(photograph(f"{name}.jpg"))
    monkeypatch.setattr("facial_recognition.cli.plot.draw", fail)
    plot = tmp_path / "plot.png"

    said = faces("threshold", "--photos", tmp_path, "--plot", plot, "--json")

    assert (said.code, said.json["people"]) == (2, 2)
    assert said.error["code"] == "file_error"


def test_one_person_is_not_enough(faces: Faces, tmp_path: Path) -> None:
    (tmp_path / "obama").mkdir()
    (tmp_path / "obama" / "1.jpg").write_bytes(photograph("obama.jpg"))

    assert faces("threshold", "--photos", tmp_path, "--json").error["code"] == "no_photos"


def similarities(seed: int, people: int = 60, each: int = 3, alike: float = 0.0) -> Similarities:
    """Return random similarities: pairs of two people have mean 50, pairs of one 80; deviation 10.

    Args:
        seed: of the random numbers.
        people: how many.
        each: photographs of each.
        alike: standard deviation of how much each person resembles all others.
    """
    random = np.random.default_rng(seed)
    whose = np.repeat(np.arange(people), each)
    matrix = random.normal(50, 10, (len(whose), len(whose)))
    plainness = random.normal(0, alike, people)[whose] if alike else np.zeros(len(whose))
    matrix += plainness[:, None] + plainness[None, :]
    matrix[whose[:, None] == whose[None, :]] += 30
    return Similarities(whose, np.clip((matrix + matrix.T) / 2, 0, 100))


@pytest.mark.parametrize("alike", [0.0, 2.0])
def test_a_recommendation_holds_for_other_people(alike: float) -> None:
    """Few recommendations at 95 % confidence are too low for other people of the same kind.

    The confidence is a little below 95 % with 60 people whose resemblance to others varies.
    """
    wanted = 0.01
    others = [similarities(seed, people=300, alike=alike).impostor for seed in (101, 102, 103)]
    population = np.sort(np.concatenate(others))
    too_low = 0
    for seed in range(1, 61):
        threshold = similarities(seed, alike=alike).threshold_for(wanted)
        assert threshold is not None
        accepted = len(population) - np.searchsorted(population, threshold)
        too_low += accepted / len(population) > wanted
    # If each of 60 fails with probability 0.1, more than 12 fail once in a hundred runs. With pairs
    # counted as independent, 16 would fail.
    assert too_low <= 12


def test_resemblance_widens_the_bounds() -> None:
    assert similarities(1).impostor_design_effect < 1.5
    assert similarities(1, alike=2.0).impostor_design_effect > 3


def test_the_threshold_is_the_lowest_that_will_do() -> None:
    measured = similarities(1)
    threshold = measured.threshold_for(0.01)

    assert threshold is not None
    assert measured.at(threshold).false_accepts.high <= 0.01
    below = np.sort(measured.impostor[measured.impostor < threshold])[-1]
    assert measured.at(float(below)).false_accepts.high > 0.01
