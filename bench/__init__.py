"""Benchmarks that compare the service with peers and limits. Each is a script of its own."""

import sys
from pathlib import Path

# The sample photographs, and signed requests to the control API, are helpers of localaws's tests.
sys.path.append(str(Path(__file__).parent.parent / "localaws" / "tests"))
