"""Write ``docs/openapi.json`` and ``docs/api.html``; ``make openapi`` runs this."""

from facial_recognition.specification.files import generate


def main() -> None:
    """Write the generated files into the checkout."""
    for path, text in generate().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
