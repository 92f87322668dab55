"""The vector index finds the same vectors as a search through all of them."""

import numpy as np
import pytest

from localaws.rekognition.vectors import VectorIndex


def unit_vectors(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, 128)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_an_empty_index_finds_nothing():
    (wanted,) = unit_vectors(1)

    assert list(VectorIndex(128).search(wanted, 10)) == []


def test_a_search_is_exact_after_many_additions_and_removals():
    index, vectors = VectorIndex(128), unit_vectors(1000)
    for key, vector in enumerate(vectors):
        index.add(key, vector)
    removed = np.random.default_rng(1).permutation(1000)[:700]
    index.remove(removed.tolist())
    for key in removed[:50].tolist():
        index.add(key, vectors[key])
    kept = sorted(set(range(1000)) - set(removed[50:].tolist()))

    (wanted,) = unit_vectors(1, seed=2)
    found = list(index.search(wanted, 10))

    best = sorted(kept, key=lambda key: -float(vectors[key] @ wanted))[:10]
    assert len(index) == 350
    assert [neighbour.key for neighbour in found] == best
    assert all(np.array_equal(index[key], vectors[key]) for key in kept)


def test_what_is_not_there_is_not_found():
    index, vectors = VectorIndex(128), unit_vectors(2)
    index.add(7, vectors[0])
    index.add(8, vectors[1])
    index.remove([7, 9])

    assert np.array_equal(index[8], vectors[1])
    for key in (7, 9):
        with pytest.raises(KeyError):
            index[key]


def test_a_vector_may_be_exchanged():
    index, (before, after) = VectorIndex(128), unit_vectors(2)
    index.add(7, before)
    index.remove([7])
    index.add(7, after)

    assert [neighbour.key for neighbour in index.search(after, 10)] == [7]
    assert np.array_equal(index[7], after)
