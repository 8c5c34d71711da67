"""Keys and folders of the bucket, from layout.json, which the TypeScript code reads too."""

from __future__ import annotations

import json
import pkgutil
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def entries() -> dict[str, str]:
    """Returns layout.json: name to pattern, such as `batches/{batchId}/manifest.json`."""
    return {str(name): str(pattern) for name, pattern in json.loads(_text()).items()}


def key(name: str, /, **parts: str) -> str:
    """Fills in the pattern of an entry: `key("manifest", batchId="20240625T171313Z-abcdefgh")`.

    Raises KeyError when the entry does not exist or a part is missing.
    """
    return entries()[name].format(**parts)


def folder(name: str) -> str:
    """Returns the pattern of an entry up to its first part: the prefix of all keys of this kind."""
    return entries()[name].partition("{")[0]


def _text() -> str:
    # A deployed job reads the copy in its library, which is a zip or a wheel: hence pkgutil.
    try:
        packed = pkgutil.get_data("music_streams", "layout.json")
    except OSError:
        packed = None
    if packed is not None:
        return packed.decode("utf-8")
    return (Path(__file__).resolve().parents[2] / "layout.json").read_text("utf-8")
