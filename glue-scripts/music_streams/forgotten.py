"""The list of listeners that people asked to forget."""

from __future__ import annotations

import re
from typing import Any

from music_streams import layout, store
from music_streams.listens import ANY_ID


def forgotten_ids(s3: Any, bucket: str) -> frozenset[str]:
    """Lists the listeners to leave out: each has an object of this name. Other names can't be a listener's id."""
    folder = layout.folder("forgotten")
    names = (file.key.removeprefix(folder) for file in store.objects(s3, bucket, folder))
    return frozenset(name for name in names if re.fullmatch(ANY_ID, name))
