"""What a measured program prints about its own progress, so that its start can be told from its work."""

from __future__ import annotations

import json
import time
from typing import Any

# The emulator of the benchmarks answers here with the number of its requests.
REQUESTS = "/_bench/requests"


def mark(name: str, **facts: Any) -> None:
    """Prints the moment. `opened`: the work begins. `done`: it has ended; `facts` go to the results."""
    print(json.dumps({"mark": name, "at": time.time(), **facts}), flush=True)
