from localaws.middleware.faults import Fault
from sample_photographs import photograph
from tests.cli.conftest import Faces
from tests.support.service import Service


def test_failed_events_are_listed_and_redriven(faces: Faces, service: Service) -> None:
    denied = [
        Fault("IndexFaces", "error before", call=n, caller="worker", code="Denied", status=400)
        for n in (1, 2, 3)  # every try
    ]
    service.aws.faults.script(*denied)
    service.upload("faces/obama/a.jpg", photograph("obama.jpg"))
    service.aws.faults.clear()

    listed = faces("redrive", "--list", "--json").json
    assert [event["keys"] for event in listed] == [["faces/obama/a.jpg"]]
    assert not service.faces()

    assert faces("redrive").out.endswith("1 events given back to their functions\n")
    service.settle()
    assert len(service.faces()) == 1
    assert faces("redrive", "--list", "--json").json == []
    service.assert_consistent()
