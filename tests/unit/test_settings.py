import pytest

from chalicelib.settings import Settings, SettingsError


def test_settings_have_the_defaults_of_the_design() -> None:
    settings = Settings.from_environment({})

    assert settings.faces_bucket == "facial-recognition-data-bucket"
    assert settings.faces_table == "face-metadata"
    assert settings.faces_collection == "face-collection"
    assert settings.face_match_threshold == 95
    assert settings.duplicate_face_threshold == 99


def test_the_environment_overrides_and_an_empty_variable_is_none() -> None:
    settings = Settings.from_environment(
        {"FACES_BUCKET": "club", "FACE_MATCH_THRESHOLD": "97.5", "FACES_TABLE": "", "HOME": "/"}
    )

    assert settings.faces_bucket == "club"
    assert settings.face_match_threshold == 97.5
    assert settings.faces_table == "face-metadata"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACE_MATCH_THRESHOLD", "101"),
        ("FACE_MATCH_THRESHOLD", "high"),
        ("FACES_BUCKET", "b"),
        ("FACES_COLLECTION", "with space"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})
