"""The settings of a stage, read from the environment."""

import pytest

from chalicelib.settings import Settings, SettingsError


def test_settings_have_the_documented_defaults() -> None:
    settings = Settings.from_environment({})

    assert settings.faces_bucket == "facial-recognition-data-bucket"
    assert settings.faces_table == "face-metadata"
    assert settings.faces_collection == "face-collection"
    assert settings.face_match_threshold == 95
    assert settings.duplicate_face_threshold == 99


def test_variables_override_defaults_unless_they_are_empty() -> None:
    settings = Settings.from_environment(
        {"FACES_BUCKET": "club", "FACE_MATCH_THRESHOLD": "97.5", "FACES_TABLE": "", "HOME": "/"}
    )

    assert settings.faces_bucket == "club"
    assert settings.face_match_threshold == 97.5
    assert settings.faces_table == "face-metadata"


@pytest.mark.parametrize("origin", ["*", "https://example.org", "http://127.0.0.1:8080"])
def test_one_origin_or_all_may_be_allowed(origin: str) -> None:
    assert Settings.from_environment({"CORS_ORIGIN": origin}).cors_origin == origin


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACE_MATCH_THRESHOLD", "101"),
        ("FACE_MATCH_THRESHOLD", "high"),
        ("FACES_BUCKET", "b"),
        ("FACES_COLLECTION", "with space"),
        ("HIDE_UNKNOWN_PERSONS", "perhaps"),
        ("CORS_ORIGIN", "example.org"),
        ("METRICS", "a stage"),
        ("CORS_ORIGIN", "https://example.org/page"),
        ("CORS_ORIGIN", "https://example.org\nX: y"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})
