"""The daily run forgets the people who were not verified for long, and nobody else."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

import app
from chalicelib import forgetting, telemetry
from chalicelib.audit import AuditTrail
from chalicelib.convergence import Converger
from chalicelib.errors import ServiceUnavailable
from chalicelib.faces import Faces
from chalicelib.records import Records
from chalicelib.settings import Settings
from chalicelib.storage import Photographs
from localaws.middleware.faults import Fault
from localaws.services.events.schedules import Schedules
from sample_photographs import photograph, resized
from tests.support.service import BUCKET, COLLECTION, TABLE, Service, age_objects, without_events

DAYS = 30
TODAY = datetime.now(UTC).date()
SETTINGS = Settings(forget_after_days=DAYS, verifications_noted_since=date(2020, 1, 1))


@pytest.fixture
def both(service: Service) -> Service:
    """Two people who have just been registered."""
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    service.register(photograph("biden.jpg"), name="Joe Biden", personId="biden")
    service.settle()
    return service


@pytest.fixture
def converger(service: Service) -> Converger:
    """A converger with all permissions; tests/deploy has those of the function."""
    client = service.dynamodb
    return Converger(
        Photographs(lambda: service.s3, BUCKET),
        Records(lambda: client, TABLE),
        Faces(lambda: service.rekognition, COLLECTION),
        AuditTrail(lambda: client, app.settings.faces_audit_table),
        SETTINGS,
    )


@pytest.fixture
def noting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn on the notes about verifications in the API."""
    monkeypatch.setattr(
        app, "settings", replace(app.settings, verifications_noted_since=date(2020, 1, 1))
    )


def age(service: Service, person_id: str, days: int) -> None:
    """Change all moments in the objects and records of a person to ``days`` ago."""
    before = datetime.now(UTC) - timedelta(days=days)
    age_objects(f"faces/{person_id}/", before)
    moment = before.isoformat(timespec="seconds")
    for item in service.items().values():
        if item["personId"] == person_id:
            dates = {
                name: moment[: len(str(item[name]))]
                for name in ("registeredAt", "indexedAt", "verifiedOn")
                if name in item
            }
            service.table.put_item(Item={**item, **dates})


def forget(converger: Converger, settings: Settings = SETTINGS, seconds: float = 900) -> list[int]:
    """Run the daily run; return the number of people forgotten and of those still to be."""
    with telemetry.collect() as work:
        forgetting.forget_unverified(converger, settings, lambda: seconds)
    assert work.persons_forgotten is not None
    assert work.persons_left is not None
    return [work.persons_forgotten, work.persons_left]


def people(service: Service) -> set[object]:
    """Return the ids of the people in the table."""
    return {item["personId"] for item in service.items().values()}


def test_a_person_who_was_not_verified_for_long_is_forgotten(
    both: Service, converger: Converger
) -> None:
    age(both, "biden", DAYS)
    assert forget(converger) == [0, 0]
    age(both, "biden", DAYS + 1)

    assert forget(converger) == [1, 0]

    both.settle()
    assert people(both) == {"obama"}
    assert both.whose(photograph("biden.jpg")) is None
    assert both.whose(photograph("obama2.jpg")) == "obama"
    both.assert_consistent()
    versions = both.s3.list_object_versions(Bucket=BUCKET)
    assert {v["Key"].split("/")[1] for v in versions["Versions"]} == {"obama"}
    *_, last = converger.audit.of_person("biden")
    assert (last.event, last.caller) == ("forgotten", "FORGET_AFTER_DAYS")
    assert [entry.event for entry in converger.audit.of_person("obama")] == ["registered"]


@pytest.mark.usefixtures("noting")
def test_a_person_who_was_verified_lately_stays(both: Service, converger: Converger) -> None:
    age(both, "obama", DAYS + 1)
    age(both, "biden", DAYS + 1)
    assert both.verify(photograph("obama2.jpg"), personId="biden").json()["verified"] is False
    assert both.whose(photograph("obama2.jpg")) == "obama"

    assert forget(converger) == [1, 0]

    both.settle()
    assert people(both) == {"obama"}


@pytest.mark.usefixtures("noting")
def test_a_verification_by_one_photograph_keeps_all_of_a_person(
    both: Service, converger: Converger
) -> None:
    both.upload("faces/obama/2.jpg", photograph("obama2.jpg"))
    age(both, "obama", DAYS + 1)
    assert both.whose(photograph("obama.jpg")) == "obama"

    assert forget(converger) == [0, 0]
    assert len(both.objects()) == 3


@pytest.mark.usefixtures("noting")
def test_a_verification_notes_the_day_and_nothing_else(both: Service) -> None:
    before = both.items()
    for _ in range(2):
        assert both.whose(photograph("obama2.jpg")) == "obama"

    changed = {i: item for i, item in both.items().items() if item != before[i]}
    (face,) = changed.values()
    assert face == {**before[str(face["faceId"])], "verifiedOn": TODAY.isoformat()}


def test_nothing_is_noted_by_default(both: Service) -> None:
    before = both.items()
    assert both.whose(photograph("obama2.jpg")) == "obama"
    assert both.items() == before


def test_nobody_is_forgotten_before_verifications_were_noted_for_long_enough(
    both: Service, converger: Converger
) -> None:
    age(both, "obama", 5 * DAYS)
    for days in (0, 1, DAYS):
        since = TODAY - timedelta(days=days)
        assert forget(converger, replace(SETTINGS, verifications_noted_since=since)) == [0, 0]
    since = TODAY - timedelta(days=DAYS + 1)
    assert forget(converger, replace(SETTINGS, verifications_noted_since=since)) == [1, 0]


def test_a_run_without_time_leaves_people_to_the_next_run(
    both: Service, converger: Converger
) -> None:
    age(both, "obama", DAYS + 1)
    age(both, "biden", DAYS + 1)

    assert forget(converger, seconds=forgetting.SPARE_SECONDS - 1) == [0, 2]
    assert people(both) == {"obama", "biden"}
    assert forget(converger) == [2, 0]


@pytest.mark.usefixtures("noting")
def test_a_person_who_is_verified_while_others_are_forgotten_stays(
    both: Service, converger: Converger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 1)
    age(both, "obama", DAYS + 1)
    age(both, "biden", DAYS + 1)
    one = forgetting.forget

    def forget_one_and_meet_the_other(*arguments: Any) -> set[str]:
        left = one(*arguments)
        (other,) = people(both)
        assert both.whose(photograph(f"{other}.jpg")) == other
        return left

    monkeypatch.setattr(forgetting, "forget", forget_one_and_meet_the_other)

    assert forget(converger) == [1, 0]
    assert len(people(both)) == 1


def events(converger: Converger, person_id: str) -> list[str]:
    """Return the events in the audit trail of a person."""
    return [entry.event for entry in converger.audit.of_person(person_id)]


@pytest.mark.usefixtures("noting")
def test_a_verification_counts_after_its_photograph_was_deleted(
    service: Service, converger: Converger
) -> None:
    service.upload("faces/obama/old.jpg", photograph("obama3.jpg"))
    service.upload("faces/obama/new.jpg", photograph("obama.jpg"))
    age(service, "obama", DAYS + 1)
    assert service.whose(photograph("obama.jpg")) == "obama"

    service.remove("faces/obama/new.jpg")

    assert forget(converger) == [0, 0]
    assert service.objects() == ["faces/obama/old.jpg"]


@pytest.mark.usefixtures("noting")
def test_a_person_who_registers_the_same_photograph_again_stays(
    both: Service, converger: Converger
) -> None:
    age(both, "biden", DAYS + 1)
    again = both.register(photograph("biden.jpg"), name="Joe Biden", personId="biden")
    assert again.status_code == 200

    assert forget(converger) == [0, 0]


@pytest.mark.usefixtures("noting")
def test_a_verification_below_the_stages_threshold_does_not_count(
    both: Service, converger: Converger
) -> None:
    age(both, "biden", DAYS + 1)
    low = both.verify(photograph("obama2.jpg"), personId="biden", threshold=0).json()
    assert low["verified"] is True

    assert forget(converger) == [1, 0]


def test_a_photograph_that_is_not_indexed_yet_counts(
    service: Service, converger: Converger
) -> None:
    service.upload("faces/obama/a.jpg", photograph("obama.jpg"))
    age(service, "obama", DAYS + 1)
    with without_events(service):
        service.s3.put_object(Bucket=BUCKET, Key="faces/obama/a.jpg", Body=photograph("obama2.jpg"))

        assert forget(converger) == [0, 0]

    assert service.objects() == ["faces/obama/a.jpg"]


def test_a_person_who_registers_while_being_forgotten_stays(
    both: Service, converger: Converger, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(both, "biden", DAYS + 1)
    remove_strays = forgetting._remove_strays

    def register_before(*arguments: Any) -> None:
        new = resized(photograph("biden.jpg"), 500)
        assert both.register(new, name="Joe Biden", personId="biden").status_code == 201
        both.settle()
        remove_strays(*arguments)

    monkeypatch.setattr(forgetting, "_remove_strays", register_before)
    with pytest.raises(ServiceUnavailable, match="not be forgotten: 1"):
        forget(converger)

    both.assert_consistent()
    assert both.whose(photograph("biden.jpg")) == "biden"
    assert "forgotten" not in events(converger, "biden")


@pytest.mark.parametrize("error", [ServiceUnavailable("no"), OSError("no")])
def test_a_photograph_that_fails_to_converge_is_removed_all_the_same(
    both: Service, converger: Converger, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    age(both, "obama", DAYS + 1)
    age(both, "biden", DAYS + 1)
    converge = Converger.converge

    def fail(self: Converger, key: str, attempt: str, **options: bool) -> object:
        if "obama" in key:
            raise error
        return converge(self, key, attempt, **options)

    with without_events(both):
        monkeypatch.setattr(Converger, "converge", fail)
        assert forget(converger) == [2, 0]

    assert (both.objects(), both.items(), both.faces()) == ([], {}, [])
    assert events(converger, "biden") == ["registered", "removed", "forgotten"]
    assert events(converger, "obama") == ["registered", "forgotten"]


def test_a_batch_that_fails_is_retried(both: Service, converger: Converger) -> None:
    age(both, "obama", DAYS + 1)
    age(both, "biden", DAYS + 1)
    refused = Fault("Scan", "error before", call=3, code="AccessDeniedException", status=400)
    both.aws.faults.script(refused)

    assert forget(converger) == [2, 0]

    assert both.aws.faults.met["error before"] == 1
    for person_id in ("obama", "biden"):
        assert events(converger, person_id)[-1] == "forgotten"


def test_a_person_who_cannot_be_forgotten_is_reported(both: Service, converger: Converger) -> None:
    age(both, "obama", DAYS + 1)
    both.aws.faults.script(
        Fault("DeleteObjects", "error before", code="AccessDenied", status=403, times=0)
    )
    with pytest.raises(ServiceUnavailable, match="not be forgotten: 1"):
        forget(converger)
    both.aws.faults.clear()

    assert forget(converger) == [1, 0]


def test_a_rule_without_a_rate_is_left_alone(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    delivered: list[str] = []
    events = service.events
    target = {"Id": "1", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}
    for name, schedule in (("a", "cron(0 12 * * ? *)"), ("b", "rate(1 hour)")):
        events.put_rule(Name=name, ScheduleExpression=schedule)
        events.put_targets(Rule=name, Targets=[target])
    schedules = Schedules(lambda function, rule, event: delivered.append(rule))

    for _ in range(3):
        schedules.run_due()

    assert [rule.rpartition("/")[2] for rule in delivered] == ["b"]
    assert "rule/a: only rates" in caplog.text
    events.put_rule(Name="b", ScheduleExpression="rate(1 hour)", State="DISABLED")
    schedules.run_due()
    events.put_rule(Name="b", ScheduleExpression="rate(1 hour)")
    schedules.run_due()
    assert len(delivered) == 2
