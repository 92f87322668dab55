"""DetectFaces: bounding boxes, landmarks, pose and quality."""

import pytest
from botocore.exceptions import ClientError
from PIL import ImageOps

from sample_photographs import (
    as_jpeg,
    blurred,
    darkened,
    group,
    landscape,
    opened,
    photograph,
    resized,
    rotated,
)


def detect(rekognition, content, **options):
    return rekognition.detect_faces(Image={"Bytes": content}, **options)["FaceDetails"]


def landmarks(face):
    return {landmark["Type"]: (landmark["X"], landmark["Y"]) for landmark in face["Landmarks"]}


@pytest.mark.parametrize("name", ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"])
def test_a_portrait_has_one_clear_face(rekognition, name):
    (face,) = detect(rekognition, photograph(name))

    assert face["Confidence"] > 99
    assert 60 <= face["Quality"]["Brightness"] <= 90
    assert 40 <= face["Quality"]["Sharpness"] <= 100
    assert abs(face["Pose"]["Yaw"]) < 30
    assert abs(face["Pose"]["Roll"]) < 10
    assert abs(face["Pose"]["Pitch"]) < 15


def test_coordinates_are_ratios_and_landmarks_lie_where_they_should(rekognition):
    (face,) = detect(rekognition, photograph("obama.jpg"))

    box, marks = face["BoundingBox"], landmarks(face)
    assert 0.3 < box["Left"] < box["Left"] + box["Width"] < 0.7
    assert 0 < box["Top"] < box["Top"] + box["Height"] < 0.5
    assert marks["eyeLeft"][0] < marks["nose"][0] < marks["eyeRight"][0]
    assert marks["mouthLeft"][0] < marks["mouthRight"][0]
    assert marks["eyeLeft"][1] < marks["nose"][1] < marks["mouthLeft"][1]


@pytest.mark.parametrize(
    "attributes", [["ALL"], ["DEFAULT"], ["ALL", "DEFAULT"], ["AGE_RANGE"], ["DEFAULT", "SMILE"]]
)
def test_only_computed_attributes_are_returned(rekognition, attributes):
    (face,) = detect(rekognition, photograph("obama.jpg"), Attributes=attributes)

    assert set(face) == {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}


def test_an_attribute_that_aws_does_not_have_is_refused(rekognition):
    with pytest.raises(ClientError, match=r"at 'attributes\.1\.member' failed to satisfy"):
        detect(rekognition, photograph("obama.jpg"), Attributes=["HAIR"])


def test_nobody_is_found_in_a_landscape(rekognition):
    assert detect(rekognition, landscape()) == []


def test_everybody_is_found_in_a_group_the_largest_first(rekognition):
    faces = detect(rekognition, group("obama.jpg", "biden.jpg", "obama2.jpg"))

    areas = [face["BoundingBox"]["Width"] * face["BoundingBox"]["Height"] for face in faces]
    assert len(faces) == 3
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_seen_upright_however_the_camera_was_held(rekognition, orientation):
    (upright,) = detect(rekognition, photograph("obama.jpg"))
    (face,) = detect(rekognition, rotated(photograph("obama.jpg"), orientation))

    assert face["BoundingBox"] == pytest.approx(upright["BoundingBox"], abs=0.02)
    assert abs(face["Pose"]["Roll"]) < 10


def test_a_head_turned_to_the_left_of_the_picture_has_negative_yaw(rekognition):
    (face,) = detect(rekognition, photograph("obama2.jpg"))
    mirrored = ImageOps.mirror(opened(photograph("obama2.jpg")))
    (other,) = detect(rekognition, as_jpeg(mirrored))

    assert face["Pose"]["Yaw"] < -15
    assert other["Pose"]["Yaw"] == pytest.approx(-face["Pose"]["Yaw"], abs=8)


def test_a_leaning_head_has_roll(rekognition):
    leaning = opened(photograph("obama.jpg")).rotate(-20)
    (straight,) = detect(rekognition, photograph("obama.jpg"))
    (face,) = detect(rekognition, as_jpeg(leaning))

    assert face["Pose"]["Roll"] - straight["Pose"]["Roll"] == pytest.approx(20, abs=4)


@pytest.mark.parametrize("name", ["obama.jpg", "biden.jpg"])
def test_a_blurred_face_is_not_sharp(rekognition, name):
    (face,) = detect(rekognition, blurred(photograph(name)))

    assert face["Quality"]["Sharpness"] < 10


@pytest.mark.parametrize("name", ["obama.jpg", "biden.jpg"])
def test_a_face_in_the_dark_is_not_bright(rekognition, name):
    (face,) = detect(rekognition, darkened(photograph(name)))

    assert face["Quality"]["Brightness"] < 15


@pytest.mark.parametrize("long_side", [200, 640, 3000])
def test_a_face_is_found_at_any_size_in_the_same_place(rekognition, long_side):
    (face,) = detect(rekognition, photograph("obama.jpg"))
    (other,) = detect(rekognition, resized(photograph("obama.jpg"), long_side))

    assert other["BoundingBox"] == pytest.approx(face["BoundingBox"], abs=0.03)
