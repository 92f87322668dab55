"""IndexFaces, ListFaces, DeleteFaces, SearchFaces and SearchFacesByImage."""

import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from sample_photographs import blurred, darkened, group, landscape, photograph, resized

PEOPLE = {
    "obama.jpg": "obama",
    "obama2.jpg": "obama",
    "obama3.jpg": "obama",
    "biden.jpg": "biden",
}


@pytest.fixture
def index(rekognition, collection):
    """A function that indexes a photograph, given its name or bytes."""

    def _index(content, **options):
        if isinstance(content, str):
            content = photograph(content)
        return rekognition.index_faces(CollectionId=collection, Image={"Bytes": content}, **options)

    return _index


@pytest.fixture
def search(rekognition, collection):
    """A function that searches with a photograph, given its name or bytes."""

    def _search(content, **options):
        if isinstance(content, str):
            content = photograph(content)
        return rekognition.search_faces_by_image(
            CollectionId=collection, Image={"Bytes": content}, **options
        )

    return _search


def face_ids(indexed):
    return [record["Face"]["FaceId"] for record in indexed["FaceRecords"]]


def external_ids(answer):
    return [match["Face"]["ExternalImageId"] for match in answer["FaceMatches"]]


def listed(rekognition, collection, **options):
    return rekognition.list_faces(CollectionId=collection, **options)["Faces"]


def test_a_person_is_found_by_another_photograph(index, search):
    index("obama.jpg", ExternalImageId="obama")
    index("biden.jpg", ExternalImageId="biden")

    answer = search("obama2.jpg", FaceMatchThreshold=95)

    assert external_ids(answer) == ["obama"]
    assert answer["FaceMatches"][0]["Similarity"] > 99
    assert answer["SearchedFaceConfidence"] > 99
    assert 0 < answer["SearchedFaceBoundingBox"]["Left"] < 1
    assert answer["FaceModelVersion"] == "7.0"


def test_a_stranger_is_not_found(index, search):
    index("obama.jpg")

    assert search("biden.jpg")["FaceMatches"] == []


def test_matches_are_best_first_and_no_more_than_asked_for(index, search):
    for name, person in PEOPLE.items():
        index(name, ExternalImageId=f"{person}:{name}")

    everyone = search("obama.jpg", FaceMatchThreshold=0)
    best_two = search("obama.jpg", FaceMatchThreshold=0, MaxFaces=2)

    similarities = [match["Similarity"] for match in everyone["FaceMatches"]]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] == pytest.approx(100, abs=0.01)
    assert external_ids(everyone)[-1] == "biden:biden.jpg"
    assert external_ids(best_two) == external_ids(everyone)[:2]


def test_a_face_record_contains_the_face_and_its_details(index, collection, rekognition):
    answer = index("obama.jpg", ExternalImageId="obama")

    (record,) = answer["FaceRecords"]
    assert uuid.UUID(record["Face"]["FaceId"]).version == 4
    assert record["Face"]["BoundingBox"] == record["FaceDetail"]["BoundingBox"]
    assert record["Face"]["Confidence"] == record["FaceDetail"]["Confidence"]
    assert answer["UnindexedFaces"] == []
    assert listed(rekognition, collection) == [record["Face"]]
    assert rekognition.describe_collection(CollectionId=collection)["FaceCount"] == 1


def test_the_same_image_under_the_same_external_id_is_indexed_once(index, collection, rekognition):
    first = index(group("obama.jpg", "biden.jpg"), ExternalImageId="both")
    again = index(group("obama.jpg", "biden.jpg"), ExternalImageId="both")

    assert again["FaceRecords"] == first["FaceRecords"]
    assert len(listed(rekognition, collection)) == 2


def test_a_later_call_with_more_faces_adds_only_the_new_ones(index, collection, rekognition):
    both = group("obama.jpg", "biden.jpg")
    one = index(both, ExternalImageId="both", MaxFaces=1)
    two = index(both, ExternalImageId="both", MaxFaces=2)

    assert face_ids(two)[:1] == face_ids(one)
    assert len(listed(rekognition, collection)) == 2


@pytest.mark.parametrize("second_external_id", [None, "other"])
def test_the_same_image_under_another_external_id_gives_a_new_face(
    index, collection, rekognition, second_external_id
):
    options = {"ExternalImageId": second_external_id} if second_external_id else {}
    first = index("obama.jpg")
    second = index("obama.jpg", **options)

    assert face_ids(first) != face_ids(second)
    assert len(listed(rekognition, collection)) == 2


def test_concurrent_indexing_of_the_same_image_gives_one_face(index, collection, rekognition):
    content = photograph("obama.jpg")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: index(content, ExternalImageId="obama"), range(16)))

    assert len({face_id for answer in answers for face_id in face_ids(answer)}) == 1
    assert len(listed(rekognition, collection)) == 1


def test_max_faces_keeps_the_largest(index):
    answer = index(group("obama.jpg", "biden.jpg"), MaxFaces=1)

    (kept,), (rejected,) = answer["FaceRecords"], answer["UnindexedFaces"]
    assert rejected["Reasons"] == ["EXCEEDS_MAX_FACES"]
    assert _area(kept["FaceDetail"]) > _area(rejected["FaceDetail"])


def test_poor_faces_are_rejected_before_small_ones(index, search):
    large_but_poor = blurred(photograph("obama2.jpg"), 25)
    both = group(large_but_poor, "biden.jpg", heights=(1200, 900))

    answer = index(both, MaxFaces=1, QualityFilter="HIGH", ExternalImageId="good")

    (kept,), (rejected,) = answer["FaceRecords"], answer["UnindexedFaces"]
    assert "LOW_SHARPNESS" in rejected["Reasons"]
    assert _area(kept["FaceDetail"]) < _area(rejected["FaceDetail"])
    assert external_ids(search("biden.jpg")) == ["good"]


def test_an_unrecognisable_face_is_not_indexed(index):
    answer = index(blurred(photograph("biden.jpg"), 30))

    assert answer["FaceRecords"] == []
    assert "LOW_FACE_QUALITY" in answer["UnindexedFaces"][0]["Reasons"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: blurred(photograph("biden.jpg"), 30), "LOW_SHARPNESS"),
        (lambda: darkened(photograph("biden.jpg"), 0.1), "LOW_BRIGHTNESS"),
        (lambda: resized(photograph("biden.jpg"), 190), "SMALL_BOUNDING_BOX"),
    ],
)
def test_a_high_quality_filter_gives_the_reason_for_a_rejection(index, content, reason):
    answer = index(content(), QualityFilter="HIGH")

    assert answer["FaceRecords"] == []
    assert reason in answer["UnindexedFaces"][0]["Reasons"]


def test_without_a_filter_every_face_is_indexed(index):
    answer = index(blurred(photograph("biden.jpg"), 30), QualityFilter="NONE")

    assert len(answer["FaceRecords"]) == 1
    assert answer["UnindexedFaces"] == []


def test_an_image_without_faces_indexes_none(index):
    answer = index(landscape())

    assert answer["FaceRecords"] == answer["UnindexedFaces"] == []


def test_a_search_needs_a_face(rekognition, search):
    with pytest.raises(rekognition.exceptions.InvalidParameterException) as refused:
        search(landscape())

    assert "There are no faces in the image" in str(refused.value)


def test_a_search_can_require_a_good_face(rekognition, index, search):
    index("biden.jpg")
    poor = blurred(photograph("biden.jpg"), 30)

    search(poor)
    with pytest.raises(rekognition.exceptions.InvalidParameterException):
        search(poor, QualityFilter="HIGH")


def test_a_search_uses_the_largest_face(index, search):
    index("obama.jpg", ExternalImageId="obama")
    index("biden.jpg", ExternalImageId="biden")
    both = group("obama.jpg", "biden.jpg")
    (largest,) = index(both, MaxFaces=1, ExternalImageId="largest")["FaceRecords"]

    answer = search(both)

    assert external_ids(answer)[0] == "largest"
    assert answer["SearchedFaceBoundingBox"] == largest["Face"]["BoundingBox"]


def test_faces_are_searched_by_their_id(rekognition, collection, index):
    ids = {name: face_ids(index(name))[0] for name in PEOPLE}

    answer = rekognition.search_faces(CollectionId=collection, FaceId=ids["obama.jpg"])

    found = {match["Face"]["FaceId"] for match in answer["FaceMatches"]}
    assert found == {ids["obama2.jpg"], ids["obama3.jpg"]}
    assert answer["SearchedFaceId"] == ids["obama.jpg"]


def test_max_faces_does_not_count_the_searched_face(rekognition, collection, index):
    face_id = face_ids(index("obama.jpg"))[0]
    index("obama2.jpg")

    answer = rekognition.search_faces(CollectionId=collection, FaceId=face_id, MaxFaces=1)

    assert len(answer["FaceMatches"]) == 1


def test_a_search_for_an_unknown_face_is_refused(rekognition, collection):
    with pytest.raises(rekognition.exceptions.InvalidParameterException) as refused:
        rekognition.search_faces(CollectionId=collection, FaceId=str(uuid.uuid4()))

    assert "faceId was not found in the collection" in str(refused.value)


def test_a_deleted_face_is_not_found_any_more(rekognition, collection, index, search):
    deleted = face_ids(index("obama.jpg", ExternalImageId="gone"))
    index("obama3.jpg", ExternalImageId="kept")

    answer = rekognition.delete_faces(CollectionId=collection, FaceIds=deleted)

    assert answer["DeletedFaces"] == deleted
    assert answer["UnsuccessfulFaceDeletions"] == []
    assert external_ids(search("obama2.jpg")) == ["kept"]


def test_deleting_a_deleted_face_reports_face_not_found(rekognition, collection, index):
    ids = face_ids(index("obama.jpg"))
    rekognition.delete_faces(CollectionId=collection, FaceIds=ids)

    answer = rekognition.delete_faces(CollectionId=collection, FaceIds=ids)

    assert answer["DeletedFaces"] == []
    assert answer["UnsuccessfulFaceDeletions"] == [
        {"FaceId": ids[0], "Reasons": ["FACE_NOT_FOUND"]}
    ]


def test_an_image_indexed_after_its_face_was_deleted_has_a_new_face(rekognition, collection, index):
    first = face_ids(index("obama.jpg", ExternalImageId="obama"))
    rekognition.delete_faces(CollectionId=collection, FaceIds=first)

    assert face_ids(index("obama.jpg", ExternalImageId="obama")) != first


def test_new_faces_may_be_shown_late(app, rekognition, collection, index, search):
    (old,) = face_ids(index("obama2.jpg", ExternalImageId="old"))
    app.lag.seconds = 3600.0
    (new,) = face_ids(index("obama.jpg", ExternalImageId="new"))

    assert [face["FaceId"] for face in listed(rekognition, collection)] == [old]
    assert listed(rekognition, collection, FaceIds=[new]) == []
    assert external_ids(search("obama3.jpg", MaxFaces=1)) == ["old"]
    assert face_ids(index("obama.jpg", ExternalImageId="new")) == [new]

    app.lag.seconds = 0.0
    assert [face["FaceId"] for face in listed(rekognition, collection)] == [old, new]
    assert len(search("obama3.jpg")["FaceMatches"]) == 2


def test_faces_are_listed_in_pages_that_survive_deletions(rekognition, collection, index):
    ids = [face_ids(index(name))[0] for name in PEOPLE]
    first = rekognition.list_faces(CollectionId=collection, MaxResults=2)
    rekognition.delete_faces(CollectionId=collection, FaceIds=ids[:2])

    rest = rekognition.list_faces(CollectionId=collection, NextToken=first["NextToken"])

    assert [face["FaceId"] for face in first["Faces"]] == ids[:2]
    assert [face["FaceId"] for face in rest["Faces"]] == ids[2:]
    assert "NextToken" not in rest


def test_listed_faces_can_be_chosen_by_their_ids(rekognition, collection, index):
    ids = [face_ids(index(name))[0] for name in PEOPLE]

    chosen = listed(rekognition, collection, FaceIds=[ids[2], str(uuid.uuid4()), ids[0]])

    assert [face["FaceId"] for face in chosen] == [ids[0], ids[2]]


def test_an_image_is_read_from_s3(rekognition, collection, stored, search):
    stored["photographs", "faces/Ada L/ü+1.jpg", None] = photograph("obama.jpg")
    stored["photographs", "faces/Ada L/ü+1.jpg", "2"] = photograph("biden.jpg")
    address = {"Bucket": "photographs", "Name": "faces/Ada L/ü+1.jpg"}

    for external_id, version in {"latest": {}, "second": {"Version": "2"}}.items():
        rekognition.index_faces(
            CollectionId=collection,
            Image={"S3Object": address | version},
            ExternalImageId=external_id,
        )

    assert external_ids(search("obama2.jpg")) == ["latest"]
    assert external_ids(search("biden.jpg")) == ["second"]


def test_a_missing_s3_object_is_reported(rekognition, collection):
    with pytest.raises(rekognition.exceptions.InvalidS3ObjectException) as refused:
        rekognition.index_faces(
            CollectionId=collection,
            Image={"S3Object": {"Bucket": "photographs", "Name": "none.jpg"}},
        )

    assert re.search("Check object key, region and/or access permissions", str(refused.value))


def _area(face):
    return face["BoundingBox"]["Width"] * face["BoundingBox"]["Height"]
