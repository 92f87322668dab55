"""An embedded AWS in a process of its own, without the project. It stops when its input ends."""

import sys

from localaws.server import EmbeddedAWS, clear_environment


def main() -> None:
    clear_environment()
    with EmbeddedAWS(retry_delays=(0.05, 0.05)) as aws:
        print(aws.url, aws.access_key.secret_access_key, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
