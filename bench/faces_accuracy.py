"""Measure how accurately the local Rekognition recognises faces; a part of ``bench.faces``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.tables import print_table, save_table
from localaws.rekognition import calibration, images
from localaws.rekognition.engine import OpenVINOEngine

Vectors: TypeAlias = NDArray[np.float32]

THRESHOLDS = (80, 90, 95, 99)


def accuracy(photographs: Mapping[str, Sequence[bytes]]) -> None:
    """Compare all pairs of photographs, then search for people with one known photograph each.

    Args:
        photographs: the files of each person.
    """
    engine = OpenVINOEngine()
    names: list[str] = []
    vectors: list[Vectors] = []
    for name, files in photographs.items():
        for image in map(images.decode, files):
            if faces := engine.detect(image):
                names.append(name)
                vectors.append(engine.embed(image, faces[0]).vector)
    missing = sum(map(len, photographs.values())) - len(names)
    print(f"\nphotographs without a face: {missing}")
    people, matrix = np.array(names), np.array(vectors)
    cosines = matrix @ matrix.T
    pairs = np.triu_indices(len(people), 1)
    same = (people[:, None] == people)[pairs]
    if not 0 < same.sum() < len(same):
        print("skipped: this needs two photographs of one person and one of another")
        return
    _verify(cosines[pairs][same], cosines[pairs][~same])
    _identify(names, cosines)


def _verify(genuine: Vectors, impostor: Vectors) -> None:
    """Print how many genuine and impostor pairs each threshold accepts.

    Args:
        genuine: the cosines of the pairs of photographs of one person.
        impostor: the cosines of the pairs of photographs of two people.
    """
    print("\nverification of all pairs, by the largest face of each photograph\n")
    rows = [["similarity", "pairs of one person", "accepted", "pairs of two", "accepted", "rate"]]
    for threshold in THRESHOLDS:
        true, false = (
            sum(calibration.similarity(cosine) >= threshold for cosine in cosines.tolist())
            for cosines in (genuine, impostor)
        )
        rows.append(
            [
                str(threshold),
                str(len(genuine)),
                f"{true / len(genuine):.4f}",
                str(len(impostor)),
                str(false),
                f"{false / len(impostor):.1e}" if false else f"< {1 / len(impostor):.1e}",
            ]
        )
    print_table(rows, "verification")
    save_table(_curves(genuine, impostor), "calibration")
    scores = np.unique(np.concatenate([genuine, impostor]))
    accepted = 1 - np.searchsorted(np.sort(genuine), scores) / len(genuine)
    rejected = np.searchsorted(np.sort(impostor), scores) / len(impostor)
    best = int((accepted + rejected).argmax())
    print(
        f"best balanced accuracy: {(accepted[best] + rejected[best]) / 2:.4f}, at similarity"
        f" {calibration.similarity(float(scores[best])):.0f}"
    )


def _curves(genuine: Vectors, impostor: Vectors) -> list[list[str]]:
    """Return the shares of genuine and impostor pairs that each threshold from 0 to 100 accepts."""
    rows = [["similarity", "one person", "two people"]]
    of_one, of_two = (
        np.array([calibration.similarity(cosine) for cosine in cosines.tolist()])
        for cosines in (genuine, impostor)
    )
    for threshold in range(101):
        shares = ((of_one >= threshold).mean(), (of_two >= threshold).mean())
        rows.append([str(threshold), *(f"{share:.6f}" for share in shares)])
    return rows


def _identify(names: list[str], cosines: Vectors) -> None:
    """Print who is found when the first photograph of each person with several is known.

    Args:
        names: the person in each photograph.
        cosines: the cosines of all pairs of photographs, shape (len(names), len(names)).
    """
    print("\none photograph of each person known, the others searched\n")
    counts = Counter(names)
    known = [names.index(name) for name in counts if counts[name] > 1]
    searched = sorted(set(range(len(names))) - set(known))
    rows = [["similarity", "right", "wrong", "not found", "strangers", "accepted"]]
    for threshold in THRESHOLDS:
        outcomes: Counter[str] = Counter()
        for row in searched:
            nearest = max(known, key=lambda candidate: float(cosines[row, candidate]))
            found = calibration.similarity(float(cosines[row, nearest])) >= threshold
            if counts[names[row]] == 1:
                outcomes["accepted" if found else "stranger"] += 1
            elif found:
                outcomes["right" if names[nearest] == names[row] else "wrong"] += 1
            else:
                outcomes["missed"] += 1
        members = outcomes["right"] + outcomes["wrong"] + outcomes["missed"]
        rows.append(
            [
                str(threshold),
                f"{outcomes['right']} of {members} ({outcomes['right'] / (members or 1):.1%})",
                str(outcomes["wrong"]),
                str(outcomes["missed"]),
                str(outcomes["stranger"] + outcomes["accepted"]),
                str(outcomes["accepted"]),
            ]
        )
    print_table(rows, "identification")
