"""Measure how fast the face engine works, compared with peers; a part of ``bench.faces``."""

import io
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from PIL import Image as PillowImage

from bench.peers import FaceRecognition, NotInstalled, OpenCVFaces
from bench.tables import print_table
from bench.timing import time_in_turn
from localaws.rekognition import images
from localaws.rekognition.analysis import analyse
from localaws.rekognition.engine import OpenVINOEngine
from localaws.rekognition.images import Image, Pixels

PROCESSORS = os.cpu_count() or 1
# Number of photographs per round, for face_recognition, which is slow, and for all others.
FEW, MANY = 5, 40
LARGE = (4032, 3024)
# The smallest face that Rekognition finds has 40 pixels in a photograph of 1920, and thus 84 in
# one of 4032.
SMALL_FACE = 84


def speed(photographs: Mapping[str, Sequence[bytes]], rounds: int) -> None:
    """Measure how fast the largest face is found and turned into a vector, from decoded pixels.

    Args:
        photographs: the files of each person.
        rounds: number of repetitions.
    """
    print("\nspeed: detection and vector of the largest face, from decoded pixels\n")
    files = list(itertools.chain.from_iterable(photographs.values()))
    decoded = [images.decode(content) for content in files[:: max(1, len(files) // MANY)]]
    pixels = [image.pixels(1) for image in decoded]
    reversed_pixels = [np.ascontiguousarray(item[:, :, ::-1]) for item in pixels]
    ours, ours_alone = OpenVINOEngine(), OpenVINOEngine(streams=1)
    opencv = [OpenCVFaces() for _ in range(PROCESSORS)]
    contenders: dict[str, Callable[[], int]] = {
        "OpenCV, 1 thread": lambda: _run_opencv(opencv[:1], reversed_pixels, threads=1),
        "ours, 1 thread": lambda: _run_ours(ours_alone, decoded, parallel=1),
        f"OpenCV, {PROCESSORS} threads": lambda: _run_opencv(
            opencv[:1], reversed_pixels, PROCESSORS
        ),
        f"OpenCV, {PROCESSORS} in parallel": lambda: _run_opencv(
            opencv, reversed_pixels, threads=1
        ),
        f"ours, {PROCESSORS} in parallel": lambda: _run_ours(ours, decoded, PROCESSORS),
    }
    try:
        dlib = FaceRecognition()
        contenders["face_recognition"] = lambda: _run_each(dlib.recognise, pixels[:FEW])
    except NotInstalled as error:
        print(f"face_recognition is skipped: {error}")
    counts = {name: run() for name, run in contenders.items()}
    times = time_in_turn(contenders, rounds)
    rates = {name: counts[name] / times[name] for name in contenders}
    best = max(rate for name, rate in rates.items() if name.startswith("OpenCV"))
    rows = [["", "faces per second", "vs. OpenCV, 1 thread", "vs. best of OpenCV"]]
    for name, rate in rates.items():
        rows.append(
            [name, f"{rate:.1f}", f"{rate / rates['OpenCV, 1 thread']:.2f}", f"{rate / best:.2f}"]
        )
    print_table(rows, "speed")
    if "face_recognition" in rates:
        ratios = (
            rate / rates["face_recognition"] for name, rate in rates.items() if "ours" in name
        )
        print("ours vs. face_recognition: {:.1f} (1 thread), {:.1f} (all)".format(*ratios))


def _run_ours(engine: OpenVINOEngine, decoded: Sequence[Image], parallel: int) -> int:
    """Recognise photographs, several in parallel; return their number."""

    def recognise(image: Image) -> None:
        for face in engine.detect(image)[:1]:
            engine.embed(image, face)

    with ThreadPoolExecutor(parallel) as pool:
        return len(list(pool.map(recognise, decoded)))


def _run_opencv(peers: Sequence[OpenCVFaces], pixels: Sequence[Pixels], threads: int) -> int:
    """Divide photographs among OpenCV's objects, each in its own thread; return their number.

    Args:
        peers: the objects.
        pixels: the photographs.
        threads: number of threads that OpenCV itself uses.
    """
    cv2.setNumThreads(threads)
    with ThreadPoolExecutor(len(peers)) as pool:
        shares = [pixels[number :: len(peers)] for number in range(len(peers))]
        count = sum(pool.map(_run_each, [peer.recognise for peer in peers], shares))
    cv2.setNumThreads(PROCESSORS)
    return count


def _run_each(recognise: Callable[[Pixels], None], pixels: Sequence[Pixels]) -> int:
    for item in pixels:
        recognise(item)
    return len(pixels)


def large_photographs(photographs: Mapping[str, Sequence[bytes]], rounds: int) -> None:
    """Measure the work of IndexFaces on 12 megapixels: from the file to vector, quality and pose.

    Args:
        photographs: the files of each person.
        rounds: number of repetitions.
    """
    print("\n12 megapixels: from the file to the vector, quality and pose of the largest face\n")
    engine = OpenVINOEngine()
    small, close, distant = _scenes(engine, photographs)
    portrait = PillowImage.open(io.BytesIO(small))

    def index(file: bytes) -> None:
        image = images.decode(file)
        largest = engine.detect(image)[0]
        analyse(image, largest)
        engine.embed(image, largest)

    times = time_in_turn(
        {
            "decoding": lambda: PillowImage.open(io.BytesIO(close)).load(),
            "small": lambda: index(small),
            "close": lambda: index(close),
            "distant": lambda: index(distant),
        },
        rounds,
    )
    limit = times["decoding"] + times["small"]
    rows = [["", "ms", "vs. decoding + small"]]
    for name, description in (
        ("decoding", "only decoding 12 megapixels at full size"),
        ("small", f"a small photograph of {portrait.width}x{portrait.height}"),
        ("close", "12 megapixels, filled by the photograph"),
        ("distant", f"12 megapixels, with a face of {SMALL_FACE} pixels"),
    ):
        rows.append([description, f"{times[name] * 1000:.1f}", f"{times[name] / limit:.2f}"])
    print_table(rows, "large")


def _scenes(
    engine: OpenVINOEngine, photographs: Mapping[str, Sequence[bytes]]
) -> tuple[bytes, bytes, bytes]:
    """Return a photograph, and two scenes of 12 megapixels that show it close and distant.

    The photograph is the first one whose face is found in all three: in the distant scene it may be
    too small.
    """
    for content in itertools.chain.from_iterable(photographs.values()):
        portrait = PillowImage.open(io.BytesIO(content)).convert("RGB")
        for face in engine.detect(images.decode(content))[:1]:
            close = _scene(portrait, LARGE[1] / portrait.height)
            distant = _scene(portrait, SMALL_FACE / face.box.width)
            if all(engine.detect(images.decode(scene)) for scene in (close, distant)):
                return content, close, distant
    raise SystemExit(f"error: no photograph has a face that is found at {SMALL_FACE} pixels")


def _scene(portrait: PillowImage.Image, scale: float) -> bytes:
    """Return a JPEG of 12 megapixels that shows a scaled portrait, with the noise of a camera."""
    size = round(portrait.width * scale), round(portrait.height * scale)
    scene = PillowImage.new("RGB", LARGE, (128, 128, 128))
    scene.paste(portrait.resize(size), ((LARGE[0] - size[0]) // 2, (LARGE[1] - size[1]) // 2))
    noise = np.random.default_rng(0).normal(0, 5, (LARGE[1], LARGE[0], 1))
    noisy = np.clip(np.asarray(scene) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PillowImage.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()
