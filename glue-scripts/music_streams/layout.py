"""Names of the bucket's folders, read from the one file that TypeScript reads too."""

from __future__ import annotations

import json
import pkgutil
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def entries() -> dict[str, str]:
    """Every entry of layout.json: name to pattern, such as `batches/{batchId}/manifest.json`."""
    return {str(name): str(pattern) for name, pattern in json.loads(_text()).items()}


def key(name: str, **parts: str) -> str:
    """The key, or the prefix, of one layout entry: `key("manifest", batchId="20240625T171313Z-abcdefgh")`.

    Raises KeyError when the entry doesn't exist or one of its parts isn't given.
    """
    return entries()[name].format(**parts)


def _text() -> str:
    # A deployed job finds the copy that was packed with the library (a zip or a wheel, hence pkgutil).
    try:
        packed = pkgutil.get_data("music_streams", "layout.json")
    except OSError:
        packed = None
    if packed is not None:
        return packed.decode("utf-8")
    return (Path(__file__).resolve().parents[2] / "layout.json").read_text("utf-8")
