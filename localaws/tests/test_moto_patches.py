"""moto is changed while an embedded AWS exists, and as before when the last one has ended."""

import gc
import weakref

import pytest
from moto.s3.models import s3_backends

from laboratory import Laboratory
from localaws import moto_patches
from localaws.account import ACCOUNT_ID
from localaws.moto_patches import Patch


class Owner:
    present = "original"


def test_a_patch_is_undone() -> None:
    patches = [Patch(Owner, "present", "new"), Patch(Owner, "absent", "new")]

    for patch in patches:
        patch.apply()
    assert (Owner.present, Owner.absent) == ("new", "new")
    for patch in patches:
        patch.undo()
    assert Owner.present == "original"
    assert not hasattr(Owner, "absent")


def test_the_last_of_overlapping_contexts_undoes_the_patches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moto_patches, "PATCHES", (Patch(Owner, "present", "new"),))
    monkeypatch.setattr(moto_patches, "_users", 0)

    with moto_patches.applied():
        with moto_patches.applied():
            assert Owner.present == "new"
        assert Owner.present == "new"
    assert Owner.present == "original"


def test_an_object_that_nothing_refers_to_is_released(laboratory: Laboratory) -> None:
    laboratory.s3.create_bucket(Bucket="bucket")
    laboratory.s3.put_object(Bucket="bucket", Key="key", Body=b"1")
    stored = s3_backends[ACCOUNT_ID]["aws"].get_object("bucket", "key")
    reference, body = weakref.ref(stored), stored._value_buffer
    del stored

    laboratory.s3.delete_object(Bucket="bucket", Key="key")
    gc.collect()

    assert reference() is None
    assert body.closed
