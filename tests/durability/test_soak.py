"""Many clients at once get right answers, and memory does not grow."""

from pathlib import Path

from PIL import ImageOps

from bench.soak import soak
from sample_photographs import as_jpeg, opened, photograph, resized

CLIENTS = 32
SECONDS = 8.0


def test_many_clients_at_once_get_right_answers(tmp_path: Path) -> None:
    biden = resized(photograph("biden.jpg"), 240)
    people = {
        "obama": [resized(photograph(name), 240) for name in ("obama.jpg", "obama2.jpg")],
        "biden": [biden, as_jpeg(ImageOps.mirror(opened(biden)))],
    }
    for person, photographs in people.items():
        (tmp_path / person).mkdir()
        for number, content in enumerate(photographs):
            (tmp_path / person / f"{number}.jpg").write_bytes(content)

    outcome = soak(tmp_path, SECONDS, CLIENTS)

    assert outcome.errors == []
    assert outcome.wrong == []
    assert outcome.requests.total() > 10 * CLIENTS
    # Data is on disk, so a leak of one photograph's pixels per request would show.
    assert outcome.memory[-1] < outcome.memory[0] + 100
