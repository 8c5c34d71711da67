"""What a measured program prints about its own progress, so that its start can be told from its work."""

from __future__ import annotations

import json
import time
from typing import Any


def mark(name: str, **facts: Any) -> None:
    """Prints the moment. `opened`: the work begins. `done`: it has ended; `facts` go to the results."""
    print(json.dumps({"mark": name, "at": time.time(), **facts}), flush=True)
