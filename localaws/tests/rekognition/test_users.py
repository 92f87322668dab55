"""Users: CreateUser, DeleteUser, ListUsers, their faces, and finding them."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from sample_photographs import blurred, group, landscape, photograph

NOBODYS = "11111111-2222-4333-8444-555555555555"


class Club:
    """A collection, through its client."""

    def __init__(self, client, collection):
        self.client = client
        self.collection = collection

    def __getattr__(self, operation):
        call = getattr(self.client, operation)
        return lambda **parameters: call(CollectionId=self.collection, **parameters)

    def index(self, name):
        """Index a photograph, and return the id of its face."""
        indexed = self.index_faces(Image={"Bytes": photograph(name)})
        return indexed["FaceRecords"][0]["Face"]["FaceId"]

    def user(self, user_id, *names):
        """Make a user with the faces in photographs, and return their ids."""
        face_ids = [self.index(name) for name in names]
        self.create_user(UserId=user_id)
        if face_ids:
            self.associate_faces(UserId=user_id, FaceIds=face_ids, UserMatchThreshold=0)
        return face_ids

    def statuses(self):
        return {user["UserId"]: user["UserStatus"] for user in self.list_users()["Users"]}

    def owners(self):
        return {face["FaceId"]: face.get("UserId") for face in self.list_faces()["Faces"]}


@pytest.fixture
def club(rekognition, collection):
    return Club(rekognition, collection)


def matched(answer):
    return [match["User"]["UserId"] for match in answer["UserMatches"]]


# --- users ------------------------------------------------------------------------------------


def test_a_new_user_has_no_faces(club):
    club.create_user(UserId="ada")

    assert club.statuses() == {"ada": "CREATED"}
    assert club.describe_collection()["UserCount"] == 1
    assert club.list_faces(UserId="ada")["Faces"] == []


def test_a_user_is_not_made_twice(club):
    club.create_user(UserId="ada")

    with pytest.raises(club.client.exceptions.ConflictException):
        club.create_user(UserId="ada")


def test_users_are_listed_in_pages(club):
    names = [f"user{number}" for number in range(5)]
    for name in names:
        club.create_user(UserId=name)

    pages = list(
        club.client.get_paginator("list_users").paginate(
            CollectionId=club.collection, PaginationConfig={"PageSize": 2}
        )
    )

    assert [[user["UserId"] for user in page["Users"]] for page in pages] == [
        names[:2],
        names[2:4],
        names[4:],
    ]


def test_a_token_of_another_list_is_refused(club):
    for name in ("ada", "grace"):
        club.create_user(UserId=name)
    token = club.list_users(MaxResults=1)["NextToken"]

    with pytest.raises(club.client.exceptions.InvalidPaginationTokenException):
        club.list_faces(NextToken=token)
    with pytest.raises(club.client.exceptions.InvalidPaginationTokenException):
        club.list_users(NextToken="nonsense")


def test_the_faces_of_a_deleted_user_stay(club):
    (face,) = club.user("obama", "obama.jpg")

    club.delete_user(UserId="obama")

    assert club.statuses() == {}
    assert club.owners() == {face: None}
    assert club.search_users(FaceId=face)["UserMatches"] == []
    assert club.delete_faces(FaceIds=[face])["DeletedFaces"] == [face]


def test_users_go_with_their_collection(club):
    club.user("obama", "obama.jpg")

    club.delete_collection()
    club.create_collection()

    assert club.statuses() == {}
    assert club.describe_collection()["UserCount"] == 0


# --- their faces ------------------------------------------------------------------------------


def test_faces_are_associated_and_their_user_is_told(club):
    first, second = club.index("obama.jpg"), club.index("obama2.jpg")
    other = club.index("biden.jpg")
    club.create_user(UserId="obama")

    answer = club.associate_faces(UserId="obama", FaceIds=[first, second])

    assert answer["AssociatedFaces"] == [{"FaceId": first}, {"FaceId": second}]
    assert answer["UnsuccessfulFaceAssociations"] == []
    assert answer["UserStatus"] == "ACTIVE"
    assert club.statuses() == {"obama": "ACTIVE"}
    assert club.owners() == {first: "obama", second: "obama", other: None}
    matches = club.search_faces(FaceId=first)["FaceMatches"]
    assert [match["Face"]["UserId"] for match in matches] == ["obama"]


def test_faces_are_listed_by_user_and_by_id(club):
    mine = club.user("obama", "obama.jpg", "obama2.jpg", "obama3.jpg")
    (other,) = club.user("biden", "biden.jpg")

    listed = club.list_faces(UserId="obama", MaxResults=2)
    rest = club.list_faces(UserId="obama", MaxResults=2, NextToken=listed["NextToken"])
    both = club.list_faces(UserId="obama", FaceIds=[mine[1], other])

    assert [face["FaceId"] for face in listed["Faces"] + rest["Faces"]] == mine
    assert "NextToken" not in rest
    assert [face["FaceId"] for face in both["Faces"]] == [mine[1]]
    with pytest.raises(club.client.exceptions.InvalidPaginationTokenException):
        club.list_faces(UserId="biden", NextToken=listed["NextToken"])


def test_a_face_that_does_not_look_like_the_user_is_refused(club):
    club.user("obama", "obama.jpg", "obama2.jpg")
    right, wrong = club.index("obama3.jpg"), club.index("biden.jpg")

    answer = club.associate_faces(UserId="obama", FaceIds=[wrong, right])

    assert answer["AssociatedFaces"] == [{"FaceId": right}]
    (refused,) = answer["UnsuccessfulFaceAssociations"]
    assert refused["FaceId"] == wrong
    assert refused["Reasons"] == ["LOW_MATCH_CONFIDENCE"]
    assert refused["Confidence"] < 75


def test_the_threshold_says_how_alike_a_face_must_be(club):
    club.user("obama", "obama.jpg")
    wrong = club.index("biden.jpg")

    answer = club.associate_faces(UserId="obama", FaceIds=[wrong], UserMatchThreshold=0)

    assert answer["AssociatedFaces"] == [{"FaceId": wrong}]


def test_other_reasons_to_refuse_a_face(club):
    mine = club.user("obama", "obama.jpg")
    (theirs,) = club.user("biden", "biden.jpg")

    answer = club.associate_faces(UserId="obama", FaceIds=[NOBODYS, theirs, *mine])

    assert answer["AssociatedFaces"] == []
    assert answer["UnsuccessfulFaceAssociations"] == [
        {"FaceId": NOBODYS, "Reasons": ["FACE_NOT_FOUND"]},
        {"FaceId": theirs, "UserId": "biden", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]},
    ]


def test_a_user_has_no_more_than_100_faces(club):
    six = group(*["biden.jpg"] * 6, heights=[200] * 6)
    indexed = [club.index_faces(Image={"Bytes": six})["FaceRecords"] for _ in range(17)]
    faces = [record["Face"]["FaceId"] for records in indexed for record in records]
    club.create_user(UserId="biden")
    assert len(faces) == 102
    club.associate_faces(UserId="biden", FaceIds=faces[:99])

    answer = club.associate_faces(UserId="biden", FaceIds=faces[98:])

    assert answer["AssociatedFaces"] == [{"FaceId": faces[99]}]
    assert {f["FaceId"] for f in answer["UnsuccessfulFaceAssociations"]} == set(faces[100:])
    with pytest.raises(club.client.exceptions.ServiceQuotaExceededException):
        club.associate_faces(UserId="biden", FaceIds=faces[100:101])
    assert club.associate_faces(UserId="biden", FaceIds=faces[:5])["AssociatedFaces"] == []


def test_faces_are_disassociated(club):
    mine = club.user("obama", "obama.jpg", "obama2.jpg")
    (theirs,) = club.user("biden", "biden.jpg")
    free = club.index("obama3.jpg")

    answer = club.disassociate_faces(UserId="obama", FaceIds=[mine[0], theirs, NOBODYS, free])

    assert answer["DisassociatedFaces"] == [{"FaceId": mine[0]}]
    assert answer["UnsuccessfulFaceDisassociations"] == [
        {"FaceId": theirs, "UserId": "biden", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]},
        {"FaceId": NOBODYS, "Reasons": ["FACE_NOT_FOUND"]},
    ]
    assert answer["UserStatus"] == "ACTIVE"
    assert club.owners()[mine[0]] is None


def test_a_user_without_faces_is_not_found_any_more(club):
    faces = club.user("obama", "obama.jpg", "obama2.jpg")

    answer = club.disassociate_faces(UserId="obama", FaceIds=faces)

    assert answer["UserStatus"] == "CREATED"
    assert club.search_users(FaceId=faces[0])["UserMatches"] == []


def test_a_face_that_belongs_to_a_user_is_not_deleted(club):
    (mine,) = club.user("obama", "obama.jpg")
    free = club.index("biden.jpg")

    answer = club.delete_faces(FaceIds=[mine, free, NOBODYS])

    assert answer["DeletedFaces"] == [free]
    assert answer["UnsuccessfulFaceDeletions"] == [
        {"FaceId": mine, "UserId": "obama", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]},
        {"FaceId": NOBODYS, "Reasons": ["FACE_NOT_FOUND"]},
    ]
    assert club.owners() == {mine: "obama"}


# --- finding them -----------------------------------------------------------------------------


def test_a_user_is_found_by_an_image(club):
    club.user("obama", "obama.jpg", "obama3.jpg")
    club.user("biden", "biden.jpg")

    answer = club.search_users_by_image(Image={"Bytes": photograph("obama2.jpg")})

    (match,) = answer["UserMatches"]
    assert match["User"] == {"UserId": "obama", "UserStatus": "ACTIVE"}
    assert match["Similarity"] > 99
    assert answer["SearchedFace"]["FaceDetail"]["Confidence"] > 99
    assert answer["UnsearchedFaces"] == []


def test_users_are_found_best_first_and_no_more_than_asked_for(club):
    club.user("biden", "biden.jpg")
    club.user("obama", "obama.jpg")
    image = {"Bytes": photograph("obama2.jpg")}

    everyone = club.search_users_by_image(Image=image, UserMatchThreshold=0)
    best = club.search_users_by_image(Image=image, UserMatchThreshold=0, MaxUsers=1)

    assert matched(everyone) == ["obama", "biden"]
    assert matched(best) == ["obama"]


def test_the_largest_face_is_searched_for_and_the_others_are_listed(club):
    club.user("biden", "biden.jpg")
    both = group("biden.jpg", "obama2.jpg", heights=(900, 400))

    answer = club.search_users_by_image(Image={"Bytes": both})

    assert matched(answer) == ["biden"]
    (unsearched,) = answer["UnsearchedFaces"]
    assert unsearched["Reasons"] == ["FACE_NOT_LARGEST"]


def test_an_image_without_a_face_finds_nobody(club):
    club.user("obama", "obama.jpg")

    answer = club.search_users_by_image(Image={"Bytes": landscape()})

    assert answer["UserMatches"] == answer["UnsearchedFaces"] == []
    assert "SearchedFace" not in answer


def test_a_poor_face_is_not_searched_for(club):
    poor = blurred(photograph("biden.jpg"), 30)

    answer = club.search_users_by_image(Image={"Bytes": poor}, QualityFilter="HIGH")

    assert "LOW_SHARPNESS" in answer["UnsearchedFaces"][0]["Reasons"]
    assert "SearchedFace" not in answer


def test_users_are_searched_by_face_and_by_user(club):
    club.user("obama", "obama.jpg")
    club.user("barack", "obama3.jpg")
    free = club.index("obama2.jpg")

    by_face, by_user = club.search_users(FaceId=free), club.search_users(UserId="obama")

    assert sorted(matched(by_face)) == ["barack", "obama"]
    assert by_face["SearchedFace"] == {"FaceId": free}
    assert matched(by_user) == ["barack"]
    assert by_user["SearchedUser"] == {"UserId": "obama"}


def test_a_user_without_faces_looks_like_nobody(club):
    club.user("obama", "obama.jpg")
    club.create_user(UserId="ada")

    assert club.search_users(UserId="ada")["UserMatches"] == []


def test_a_user_is_more_than_one_photograph(club):
    """All photographs together are closer to another photograph than each of them alone."""
    faces = club.user("obama", "obama.jpg", "obama3.jpg")
    wanted = {"Bytes": photograph("obama2.jpg")}

    (user,) = club.search_users_by_image(Image=wanted, UserMatchThreshold=0)["UserMatches"]
    singles = club.search_faces_by_image(Image=wanted, FaceMatchThreshold=0)["FaceMatches"]

    assert {match["Face"]["FaceId"] for match in singles} == set(faces)
    assert user["Similarity"] >= min(match["Similarity"] for match in singles)


@pytest.mark.parametrize("parameters", [{}, {"UserId": "ada", "FaceId": NOBODYS}])
def test_a_search_is_by_either_face_or_user(club, parameters):
    with pytest.raises(club.client.exceptions.InvalidParameterException):
        club.search_users(**parameters)


def test_a_face_that_is_not_there_cannot_be_searched_for(club):
    with pytest.raises(club.client.exceptions.InvalidParameterException):
        club.search_users(FaceId=NOBODYS)


# --- errors -----------------------------------------------------------------------------------

WITH_A_USER = [
    ("delete_user", {}),
    ("associate_faces", {"FaceIds": [NOBODYS]}),
    ("disassociate_faces", {"FaceIds": [NOBODYS]}),
    ("list_faces", {}),
    ("search_users", {}),
]


@pytest.mark.parametrize(("operation", "parameters"), WITH_A_USER)
def test_what_needs_a_user_says_when_there_is_none(club, operation, parameters):
    with pytest.raises(club.client.exceptions.ResourceNotFoundException) as refused:
        getattr(club, operation)(UserId="nobody", **parameters)

    assert "The user id: nobody does not exist" in str(refused.value)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("create_user", {"UserId": "ada"}),
        ("list_users", {}),
        ("search_users_by_image", {"Image": {"Bytes": b"unread"}}),
        *((operation, {"UserId": "ada"} | rest) for operation, rest in WITH_A_USER),
    ],
)
def test_what_needs_a_collection_says_when_there_is_none(rekognition, operation, parameters):
    with pytest.raises(rekognition.exceptions.ResourceNotFoundException) as refused:
        getattr(rekognition, operation)(CollectionId="nowhere", **parameters)

    assert "The collection id: nowhere does not exist" in str(refused.value)


@pytest.mark.parametrize(
    ("operation", "parameters", "constraint"),
    [
        ("create_user", {"UserId": "a b"}, "'userId'"),
        ("create_user", {"UserId": "x" * 129}, "less than or equal to 128"),
        ("create_user", {"UserId": "ada", "ClientRequestToken": "ä"}, "'clientRequestToken'"),
        ("list_users", {"MaxResults": 501}, "'maxResults'"),
        ("associate_faces", {"UserId": "ada", "FaceIds": [NOBODYS] * 101}, "'faceIds'"),
        ("disassociate_faces", {"UserId": "ada", "FaceIds": ["x"]}, "'faceIds.1.member'"),
        ("search_users", {"UserId": "ada", "MaxUsers": 501}, "'maxUsers'"),
        ("search_users", {"UserId": "ada", "UserMatchThreshold": 101}, "'userMatchThreshold'"),
    ],
)
def test_constraints_of_the_service_model_hold(club, operation, parameters, constraint):
    with pytest.raises(ClientError) as refused:
        getattr(club, operation)(**parameters)

    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert constraint in refused.value.response["Error"]["Message"]


def test_an_image_that_is_none_is_refused(club):
    with pytest.raises(club.client.exceptions.InvalidImageFormatException):
        club.search_users_by_image(Image={"Bytes": b"no image"})
    with pytest.raises(club.client.exceptions.InvalidS3ObjectException):
        club.search_users_by_image(Image={"S3Object": {"Bucket": "none", "Name": "none"}})


# --- the same request again -------------------------------------------------------------------


def test_a_repeated_request_is_not_done_twice(club):
    token = str(uuid.uuid4())
    face = club.index("obama.jpg")
    club.create_user(UserId="obama", ClientRequestToken=token)
    club.create_user(UserId="obama", ClientRequestToken=token)

    calls = [
        ("associate_faces", {"UserId": "obama", "FaceIds": [face]}),
        ("disassociate_faces", {"UserId": "obama", "FaceIds": [face]}),
        ("delete_user", {"UserId": "obama"}),
    ]
    for number, (operation, parameters) in enumerate(calls):
        request = {**parameters, "ClientRequestToken": f"token-{number}"}
        first, second = (getattr(club, operation)(**request) for _ in range(2))
        assert {**first, "ResponseMetadata": None} == {**second, "ResponseMetadata": None}


def test_a_token_is_for_one_request(club):
    club.create_user(UserId="ada", ClientRequestToken="mine")

    with pytest.raises(club.client.exceptions.IdempotentParameterMismatchException):
        club.create_user(UserId="grace", ClientRequestToken="mine")
    with pytest.raises(club.client.exceptions.IdempotentParameterMismatchException):
        club.delete_user(UserId="ada", ClientRequestToken="mine")


def test_a_failed_request_may_be_tried_again_with_its_token(club):
    request = {"UserId": "ada", "ClientRequestToken": "mine"}
    with pytest.raises(club.client.exceptions.ResourceNotFoundException):
        club.delete_user(**request)
    club.create_user(UserId="ada")

    club.delete_user(**request)

    assert club.statuses() == {}


def test_concurrent_requests_make_one_user_and_give_each_face_one_owner(club):
    names = [f"user{number}" for number in range(4)]
    for name in names:
        club.create_user(UserId=name)
    face = club.index("obama.jpg")

    def call(name):
        try:
            club.create_user(UserId="only")
            made = 1
        except club.client.exceptions.ConflictException:
            made = 0
        return made, club.associate_faces(UserId=name, FaceIds=[face])["AssociatedFaces"]

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(call, names))

    assert sum(made for made, _ in outcomes) == 1
    assert sum(len(faces) for _, faces in outcomes) == 1
