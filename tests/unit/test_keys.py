"""The keys of photographs in S3, and the people they belong to."""

import pytest

from chalicelib import keys


def test_the_key_of_a_photograph_names_its_person() -> None:
    key = keys.image_key("ada", "1", "image/png")

    assert key == "faces/ada/1.png"
    assert keys.person_of(key) == "ada"


@pytest.mark.parametrize(
    ("key", "person"),
    [
        ("faces/ada/1.jpg", "ada"),
        ("faces/ada/summer/1.jpg", "ada"),
        ("faces/ada/\n", "ada"),
        ("faces/.ada./1.jpg", ".ada."),
        ("faces/.../1.jpg", "..."),
        ("faces/../1.jpg", None),
        ("faces/./1.jpg", None),
        ("faces/ada", None),
        ("faces/ada/", None),
        ("faces/ada//1.jpg", None),
        ("faces/a da/1.jpg", None),
        ("faces/ada\n/1.jpg", None),
        ("faces//1.jpg", None),
        (f"faces/{'a' * 64}/1.jpg", "a" * 64),
        (f"faces/{'a' * 65}/1.jpg", None),
        ("elsewhere/ada/1.jpg", None),
    ],
)
def test_only_a_key_in_the_folder_of_a_valid_id_has_a_person(key: str, person: str | None) -> None:
    assert keys.person_of(key) == person
