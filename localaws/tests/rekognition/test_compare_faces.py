"""CompareFaces: the largest face of one image against all faces of another."""

import pytest

from sample_photographs import group, landscape, photograph


def compare(rekognition, source, target, **options):
    return rekognition.compare_faces(
        SourceImage={"Bytes": source}, TargetImage={"Bytes": target}, **options
    )


def test_the_same_person_matches(rekognition):
    answer = compare(rekognition, photograph("obama.jpg"), photograph("obama3.jpg"))

    (match,) = answer["FaceMatches"]
    assert match["Similarity"] > 99
    assert match["Face"]["Quality"]["Sharpness"] > 40
    assert answer["UnmatchedFaces"] == []
    assert answer["SourceImageFace"]["Confidence"] > 99


def test_another_person_does_not_match(rekognition):
    answer = compare(rekognition, photograph("obama.jpg"), photograph("biden.jpg"))

    assert answer["FaceMatches"] == []
    assert len(answer["UnmatchedFaces"]) == 1


def test_each_face_of_a_group_is_compared(rekognition):
    both = group("biden.jpg", "obama2.jpg")

    answer = compare(rekognition, photograph("obama.jpg"), both)

    (match,), (unmatched,) = answer["FaceMatches"], answer["UnmatchedFaces"]
    assert match["Face"]["BoundingBox"]["Left"] > unmatched["BoundingBox"]["Left"]


def test_a_threshold_of_zero_matches_everyone_best_first(rekognition):
    both = group("biden.jpg", "obama2.jpg")

    answer = compare(rekognition, photograph("obama.jpg"), both, SimilarityThreshold=0)

    first, second = answer["FaceMatches"]
    assert first["Similarity"] > 99
    assert second["Similarity"] < 50
    assert answer["UnmatchedFaces"] == []


@pytest.mark.parametrize("empty", ["source", "target"])
def test_both_images_need_a_face(rekognition, empty):
    images = {"source": photograph("obama.jpg"), "target": photograph("biden.jpg")}

    with pytest.raises(rekognition.exceptions.InvalidParameterException):
        compare(rekognition, **(images | {empty: landscape()}))
