"""Small images of noise, for tests that need no face."""

import io

from PIL import Image


def encoded(kind: str, size: tuple[int, int] = (120, 90), **options: object) -> bytes:
    """Return an image of noise as a file of the given kind."""
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(file, kind, **options)
    return file.getvalue()


JPEG, PROGRESSIVE, PNG = encoded("JPEG"), encoded("JPEG", progressive=True), encoded("PNG")
