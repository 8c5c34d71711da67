"""Starts MiniStack, and counts the requests that it gets: `GET /_bench/requests` answers with their number."""

from __future__ import annotations

from typing import Any

from ministack import app as ministack

from marks import REQUESTS


def counting(app: Any) -> Any:
    """The same application, which counts its requests."""
    requests = 0

    async def call(scope: Any, receive: Any, send: Any) -> None:
        nonlocal requests
        if scope["type"] != "http":
            await app(scope, receive, send)
        elif scope["path"] != REQUESTS:
            requests += 1
            await app(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(requests).encode()})

    return call


if __name__ == "__main__":
    ministack.app = counting(ministack.app)
    ministack.main()
