"""How well and how fast does the local Rekognition recognise faces, beside its peers and limits?

    python -m bench.faces --photos DIR           (DIR holds a folder per person)
    python -m bench.faces --photos DIR --only speed --only search

What is compared is measured in turns in one run, so that a busy machine slows all alike: trust the
ratios more than the times, which are medians. Peers that are not installed are left out and said
to be.
"""

import argparse
import io
import itertools
import math
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from bench.peers import FaceRecognition, FaissIndex, NotInstalled, OpenCVFaces
from bench.photos import people_folder
from bench.tables import keep, print_table
from localaws.rekognition import calibration, images
from localaws.rekognition.analysis import analyse
from localaws.rekognition.engine import VECTOR_LENGTH, OpenVINOEngine
from localaws.rekognition.images import Image, Pixels
from localaws.rekognition.vectors import VectorIndex

Photographs: TypeAlias = dict[str, list[bytes]]
"""The files of each person."""
Vectors: TypeAlias = NDArray[np.float32]

THRESHOLDS = (80, 90, 95, 99)
PROCESSORS = os.cpu_count() or 1
_REST = 0.02
# How many photographs are recognised in a round, by the slowest peer and by all others.
FEW, MANY = 5, 40
NEAREST = 10
LARGE = (4032, 3024)
# The smallest face that Rekognition finds, 40 pixels in 1920, has 84 in a photograph so large.
SMALL_FACE = 84


def main() -> int:
    """Measure, and print the tables."""
    parts = {
        "accuracy": accuracy,
        "speed": speed,
        "large": large_photographs,
        "search": search,
        "memory": memory,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=people_folder, required=True, help="a folder per person")
    parser.add_argument("--only", action="append", choices=parts, help="a part; may be repeated")
    parser.add_argument("--rounds", type=int, default=7, help="of what is timed (7)")
    parser.add_argument("--largest", type=int, default=1_000_000, help="largest index (1000000)")
    options = parser.parse_args()
    people = sorted(path for path in options.photos.iterdir() if path.is_dir())
    photographs = {
        person.name: [path.read_bytes() for path in sorted(person.glob("*.[jp][pn]g"))]
        for person in people
    }
    count = sum(map(len, photographs.values()))
    print(f"{count} photographs of {len(photographs)} people; {PROCESSORS} processors")
    for name in options.only or parts:
        parts[name](photographs, options)
    return 0


def accuracy(photographs: Photographs, _: argparse.Namespace) -> None:
    """Compare every two photographs; then search for people of whom one photograph is known."""
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
        print("left out: two photographs of one person and one of another are the least")
        return
    _verify(cosines[pairs][same], cosines[pairs][~same])
    _identify(names, cosines)


def _verify(genuine: Vectors, impostor: Vectors) -> None:
    """Print how many pairs of one person, and of two, are as similar as each threshold."""
    _heading("verification of all pairs, by the largest face of each photograph")
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
    keep(_curves(genuine, impostor), "calibration")
    scores = np.unique(np.concatenate([genuine, impostor]))
    accepted = 1 - np.searchsorted(np.sort(genuine), scores) / len(genuine)
    refused = np.searchsorted(np.sort(impostor), scores) / len(impostor)
    best = int((accepted + refused).argmax())
    print(
        f"best accuracy, both kinds of pairs weighing the same:"
        f" {(accepted[best] + refused[best]) / 2:.4f} from similarity"
        f" {calibration.similarity(float(scores[best])):.0f}"
    )


def _curves(genuine: Vectors, impostor: Vectors) -> list[list[str]]:
    """Return the share of pairs, of one person and of two, accepted at each whole similarity."""
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
    """Print who is found when the first photograph of each person with several is known."""
    _heading("one photograph of each person known, the others searched")
    counts = Counter(names)
    known = [names.index(name) for name in counts if counts[name] > 1]
    searched = sorted(set(range(len(names))) - set(known))
    rows = [["similarity", "right", "wrong", "not found", "strangers", "taken for somebody"]]
    for threshold in THRESHOLDS:
        outcomes: Counter[str] = Counter()
        for row in searched:
            nearest = max(known, key=lambda candidate: float(cosines[row, candidate]))
            found = calibration.similarity(float(cosines[row, nearest])) >= threshold
            if counts[names[row]] == 1:
                outcomes["taken" if found else "stranger"] += 1
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
                str(outcomes["stranger"] + outcomes["taken"]),
                str(outcomes["taken"]),
            ]
        )
    print_table(rows, "identification")


def speed(photographs: Photographs, options: argparse.Namespace) -> None:
    """Find the largest face of each photograph and make its vector, from decoded pixels."""
    _heading("speed: detection and vector of the largest face, from decoded pixels")
    files = list(itertools.chain.from_iterable(photographs.values()))
    decoded = [images.decode(content) for content in files[:: max(1, len(files) // MANY)]]
    pixels = [image.pixels(1) for image in decoded]
    reversed_pixels = [np.ascontiguousarray(item[:, :, ::-1]) for item in pixels]
    ours, ours_alone = OpenVINOEngine(), OpenVINOEngine(streams=1)
    opencv = [OpenCVFaces() for _ in range(PROCESSORS)]
    contenders: dict[str, Callable[[], int]] = {
        "OpenCV, 1 thread": lambda: _opencv(opencv[:1], reversed_pixels, threads=1),
        "ours, 1 thread": lambda: _ours(ours_alone, decoded, at_once=1),
        f"OpenCV, {PROCESSORS} threads": lambda: _opencv(opencv[:1], reversed_pixels, PROCESSORS),
        f"OpenCV, {PROCESSORS} at once": lambda: _opencv(opencv, reversed_pixels, threads=1),
        f"ours, {PROCESSORS} at once": lambda: _ours(ours, decoded, PROCESSORS),
    }
    try:
        dlib = FaceRecognition()
        contenders["face_recognition"] = lambda: _each(dlib.recognise, pixels[:FEW])
    except NotInstalled as error:
        print(f"face_recognition is left out: {error}")
    done = {name: run() for name, run in contenders.items()}
    times = _in_turns(contenders, options.rounds)
    rates = {name: done[name] / times[name] for name in contenders}
    best = max(rate for name, rate in rates.items() if name.startswith("OpenCV"))
    rows = [["", "faces per second", "to OpenCV, 1 thread", "to OpenCV's best"]]
    for name, rate in rates.items():
        rows.append(
            [name, f"{rate:.1f}", f"{rate / rates['OpenCV, 1 thread']:.2f}", f"{rate / best:.2f}"]
        )
    print_table(rows, "speed")
    if "face_recognition" in rates:
        ratios = (
            rate / rates["face_recognition"] for name, rate in rates.items() if "ours" in name
        )
        print("ours to face_recognition: {:.1f} (1 thread), {:.1f} (all)".format(*ratios))


def _ours(engine: OpenVINOEngine, decoded: Sequence[Image], at_once: int) -> int:
    def recognise(image: Image) -> None:
        for face in engine.detect(image)[:1]:
            engine.embed(image, face)

    with ThreadPoolExecutor(at_once) as pool:
        return len(list(pool.map(recognise, decoded)))


def _opencv(opencv: Sequence[OpenCVFaces], pixels: Sequence[Pixels], threads: int) -> int:
    """Share the photographs among some of OpenCV's objects, each in a thread of its own."""
    cv2.setNumThreads(threads)
    with ThreadPoolExecutor(len(opencv)) as pool:
        shares = [pixels[number :: len(opencv)] for number in range(len(opencv))]
        done = sum(pool.map(_each, [peer.recognise for peer in opencv], shares))
    cv2.setNumThreads(PROCESSORS)
    return done


def _each(recognise: Callable[[Pixels], None], pixels: Sequence[Pixels]) -> int:
    for item in pixels:
        recognise(item)
    return len(pixels)


def large_photographs(photographs: Photographs, options: argparse.Namespace) -> None:
    """Compute what IndexFaces does, from the file to vector, quality and pose."""
    _heading("12 megapixels: from the file to the vector, quality and pose of the largest face")
    engine = OpenVINOEngine()
    small, close, distant = _scenes(engine, photographs)
    portrait = PillowImage.open(io.BytesIO(small))

    def index(file: bytes) -> None:
        image = images.decode(file)
        largest = engine.detect(image)[0]
        analyse(image, largest)
        engine.embed(image, largest)

    times = _in_turns(
        {
            "decoding": lambda: PillowImage.open(io.BytesIO(close)).load(),
            "small": lambda: index(small),
            "close": lambda: index(close),
            "distant": lambda: index(distant),
        },
        options.rounds,
    )
    limit = times["decoding"] + times["small"]
    rows = [["", "ms", "to decoding and small"]]
    for name, meaning in (
        ("decoding", "decoding 12 megapixels whole, nothing else"),
        ("small", f"a photograph of {portrait.width}x{portrait.height}"),
        ("close", "12 megapixels, the photograph fills it"),
        ("distant", f"12 megapixels, the face has {SMALL_FACE} pixels"),
    ):
        rows.append([meaning, f"{times[name] * 1000:.1f}", f"{times[name] / limit:.2f}"])
    print_table(rows, "large")


def _scenes(engine: OpenVINOEngine, photographs: Photographs) -> tuple[bytes, bytes, bytes]:
    """Return a photograph, and it filling and far away in one of 12 megapixels.

    It is the first whose face is found in all of them: not every one is, when it is made so small.
    """
    for content in itertools.chain.from_iterable(photographs.values()):
        portrait = PillowImage.open(io.BytesIO(content)).convert("RGB")
        for face in engine.detect(images.decode(content))[:1]:
            close = _scene(portrait, LARGE[1] / portrait.height)
            distant = _scene(portrait, SMALL_FACE / face.box.width)
            if all(engine.detect(images.decode(scene)) for scene in (close, distant)):
                return content, close, distant
    raise SystemExit("error: of no photograph is the face found when it is far away")


def _scene(portrait: PillowImage.Image, scale: float) -> bytes:
    """Return a JPEG of 12 megapixels, with a camera's noise, that shows a portrait enlarged."""
    size = round(portrait.width * scale), round(portrait.height * scale)
    scene = PillowImage.new("RGB", LARGE, (128, 128, 128))
    scene.paste(portrait.resize(size), ((LARGE[0] - size[0]) // 2, (LARGE[1] - size[1]) // 2))
    noise = np.random.default_rng(0).normal(0, 5, (LARGE[1], LARGE[0], 1))
    noisy = np.clip(np.asarray(scene) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PillowImage.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()


def search(_: Photographs, options: argparse.Namespace) -> None:
    """Find the nearest of many vectors, beside reading them all once and faiss's exact index."""
    _heading(f"search: the {NEAREST} nearest, ms; reading and faiss in the better of 1 thread, all")
    rows = [["vectors", "ours", "reading once", "faiss", "ours to reading", "ours to faiss"]]
    for count in (10_000, 100_000, 1_000_000):
        if count <= options.largest:
            times = _search(count, max(options.rounds, 500_000 // count))
            milliseconds = (f"{seconds * 1000:.2f}" for seconds in times)
            ratios = (f"{times[0] / seconds:.2f}" for seconds in times[1:])
            rows.append([str(count), *milliseconds, *ratios])
    print_table(rows, "search")


def _search(count: int, rounds: int) -> list[float]:
    """Return the seconds of a search, of reading the memory, and of faiss's search.

    The last is not a number when faiss is not installed.
    """
    index = VectorIndex(VECTOR_LENGTH)
    vectors = np.empty((count, VECTOR_LENGTH), np.float32)
    for row, vector in enumerate(_random_vectors(count)):
        index.add(row, vector)
        vectors[row] = vector
    wanted = vectors[count // 2]
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: [found.key for found in index.search(wanted, NEAREST)],
        "reading": lambda: _read_once(vectors, 1),
        "reading by all": lambda: _read_once(vectors, PROCESSORS),
    }
    try:
        faiss = FaissIndex(vectors)
        contenders["faiss"] = lambda: faiss.search(wanted, NEAREST, threads=1)
        contenders["faiss by all"] = lambda: faiss.search(wanted, NEAREST, threads=PROCESSORS)
        assert contenders["ours"]() == contenders["faiss"]()
    except NotInstalled as error:
        print(f"faiss is left out: {error}")
    times = _in_turns(contenders, rounds)
    return [
        min((times[name] for name in contenders if name.startswith(kind)), default=math.nan)
        for kind in ("ours", "reading", "faiss")
    ]


def _read_once(vectors: Vectors, threads: int) -> None:
    """Read the memory in the quickest way that numpy knows: the sum of its 64-bit words."""
    words = np.array_split(vectors.view(np.int64).ravel(), threads)
    if threads == 1:
        np.add.reduce(words[0])
    else:
        list(_READERS.map(np.add.reduce, words))


_READERS = ThreadPoolExecutor(PROCESSORS)


def memory(_: Photographs, options: argparse.Namespace) -> None:
    """Measure the most that an index has ever taken, each in a new process."""
    _heading("memory: the most that an index takes while vectors are added one by one")
    rows = [["vectors", "MB", "bytes each", "to the vectors alone"]]
    for count in (options.largest // 10, options.largest // 2 + options.largest // 20):
        with multiprocessing.get_context("spawn").Pool(1) as process:
            taken = process.apply(_peak, (count,))
        each = taken / count
        rows.append(
            [str(count), f"{taken / 1e6:.0f}", f"{each:.0f}", f"{each / 4 / VECTOR_LENGTH:.2f}"]
        )
    print_table(rows, "memory")


def _peak(count: int) -> int:
    """Return by how many bytes the process was largest when so many vectors were added."""
    index = VectorIndex(VECTOR_LENGTH)
    for _ in itertools.islice(_random_vectors(count), 1000):
        pass
    before = _largest_so_far()
    for key, vector in enumerate(_random_vectors(count)):
        index.add(key, vector)
    return _largest_so_far() - before


def _largest_so_far() -> int:
    """Return the most bytes of memory that this process has had."""
    status = Path("/proc/self/status")
    if not status.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    # What Linux gives to getrusage begins with the memory of the process that started this one.
    lines = status.read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) * 1024


def _random_vectors(count: int) -> Iterator[Vectors]:
    random = np.random.default_rng(0)
    for start in range(0, count, 1000):
        size = (min(1000, count - start), VECTOR_LENGTH)
        block = random.standard_normal(size, np.float32)
        yield from block / np.linalg.norm(block, axis=1, keepdims=True)


def _in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run each once for nothing, then all in turns, and return the median seconds of each."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            # The threads of the one before wait busily for more work, for a while.
            time.sleep(_REST)
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def _heading(text: str) -> None:
    print(f"\n{text}\n")


if __name__ == "__main__":
    sys.exit(main())
