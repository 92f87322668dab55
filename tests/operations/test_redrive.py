from localaws.faults import Fault
from tests.operations.conftest import Faces
from tests.photographs import photograph
from tests.service import Service


def test_events_that_failed_are_listed_and_put_through(faces: Faces, service: Service) -> None:
    service.aws.faults.script(
        Fault("IndexFaces", "error before", caller="worker", code="Unexpected", status=400, rate=0)
    )
    service.upload("faces/obama/a.jpg", photograph("obama.jpg"))
    service.aws.faults.clear()

    listed = faces("redrive", "--list", "--json").json
    assert [event["keys"] for event in listed] == [["faces/obama/a.jpg"]]
    assert not service.faces()

    assert faces("redrive").out.endswith("1 events put through again\n")
    service.settle()
    assert len(service.faces()) == 1
    assert faces("redrive", "--list", "--json").json == []
    service.assert_consistent()
