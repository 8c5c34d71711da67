"""The front door of the local cloud: the layer through which every request to the emulator goes.

- It refuses what a web page can send: a request of another site, or one for a host that is not loopback.
- It refuses every request that is not signed with credentials of this cloud: the user's, or a session of a role.
- The emulator's own administration (`/_ministack/...` and the like) does not exist behind it.
- Requests to Glue go to the local Glue, so that one endpoint serves every client.
- No answer carries a CORS header.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import html
import http.client
import json
import logging
import re
from collections.abc import Awaitable
from email.utils import formatdate
from pathlib import Path
from typing import Any, Callable
from urllib.parse import unquote, urlsplit

import signature as signatures
from signature import Refused, Request, Secrets

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

# Names of this machine. A web page whose own name resolves to this machine names another host (DNS rebinding).
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
# The first step of the emulator's own paths. No bucket's name starts with an underscore.
ADMINISTRATION = re.compile(r"_.*|health", re.DOTALL)
# Hadoop's S3 client notes in this header what it does ("S3A Auditing"). The host is reserved: it has no pages.
HADOOP_REFERER = "https://audit.example.org/hadoop/"
GLUE_TARGET = "AWSGlue."
# The local Glue sends these itself: the emulator then only checks a permission, or answers in place of the local Glue.
RESOURCE_HEADER = "x-local-glue-resource"
PASSED_HEADER = "x-local-glue-passed"
# The JSON services have names of their own for these errors; all others end with "Exception" ("Common Errors").
JSON_CODES = {
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
}
HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "keep-alive", "expect"}

logger = logging.getLogger("front door")


def front_door(app: Asgi, secrets: Secrets, glue_endpoint_file: Path | None) -> Asgi:
    """The application behind the door. The file holds the local Glue's endpoint as soon as there is one."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        if scope["type"] != "http":
            # No client of the local cloud opens a WebSocket.
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        request = _request(scope)
        send = _without_cors(send)
        try:
            _refuse_pages(request)
            _refuse_administration(request)
            signature = signatures.signature_of(request)
            wants_glue = _is_for_local_glue(request)
            body = await _body(receive) if signature.needs_body or wants_glue else b""
            signatures.check(request, signature, body, secrets, dt.datetime.now(dt.timezone.utc))
        except Refused as refused:
            logger.warning("refused %s %s: %s", request.method, request.path, refused)
            return await _answer(send, *_refusal(request, refused))
        glue = _endpoint_in(glue_endpoint_file) if wants_glue else None
        if glue:
            return await _answer(send, *await asyncio.to_thread(_ask_glue, glue, request, body))
        if signature.needs_body or wants_glue:
            receive = _replayed(body, receive)
        return await app(scope, receive, send)

    return call


def _request(scope: Any) -> Request:
    headers = [(name.decode("latin-1").lower(), _text(value)) for name, value in scope["headers"]]
    path = scope["raw_path"].decode("latin-1")
    return Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _refuse_pages(request: Request) -> None:
    """AWS clients send none of these headers, and browsers send one of them with each request of a page."""
    referer = request.header("referer")
    if request.header("origin") or (referer and not referer.startswith(HADOOP_REFERER)):
        raise Refused("AccessDenied", "Requests from web pages are refused.")
    if request.header("sec-fetch-site") not in ("", "none"):
        raise Refused("AccessDenied", "Requests from web pages are refused.")
    if not LOOPBACK.fullmatch(request.header("host")):
        raise Refused("AccessDenied", "Requests for another host than 127.0.0.1 or localhost are refused.")


def _refuse_administration(request: Request) -> None:
    if not request.path.startswith("/"):
        raise Refused("AccessDenied", "The target of a request must be a path.")
    # However often the path is decoded, its first step must not lead there.
    path, before = request.path, ""
    while path != before:
        path, before = unquote(path), path
    steps = (step.strip().lower() for step in re.split(r"[/\\]", path))
    first = next((step for step in steps if step not in ("", ".", "..")), "")
    if ADMINISTRATION.fullmatch(first):
        raise Refused("AccessDenied", "The emulator's administration can't be reached.")


def _is_for_local_glue(request: Request) -> bool:
    own = request.header(RESOURCE_HEADER) or request.header(PASSED_HEADER)
    return request.header("x-amz-target").startswith(GLUE_TARGET) and not own


def _endpoint_in(file: Path | None) -> str | None:
    return file.read_text() if file and file.exists() else None


def _ask_glue(endpoint: str, request: Request, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Passes a request on with its Host, which is signed. Returns status, headers and body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    target = f"{request.path}?{request.query}" if request.query else request.path
    try:
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            if name not in HOP_BY_HOP:
                connection.putheader(name, value.encode())
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        return answer.status, headers, answer.read()
    except OSError as error:
        message = {"__type": "InternalServiceException", "Message": f"The local Glue does not answer: {error}"}
        return 500, [("content-type", "application/x-amz-json-1.1")], json.dumps(message).encode()
    finally:
        connection.close()


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Any) -> Any:
    """The receiver of a request whose body has been read already."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Any:
        return waiting.pop() if waiting else await receive()

    return next_message


def _without_cors(send: Any) -> Any:
    async def send_without(message: Any) -> None:
        if "headers" in message:
            kept = [pair for pair in message["headers"] if not pair[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return send_without


def _refusal(request: Request, refused: Refused) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer in the form that the client of the service reads: XML for S3 and the query services, otherwise JSON."""
    code, message = html.escape(refused.code), html.escape(str(refused))
    if request.method == "HEAD":
        return 403, [], b""
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if "x-www-form-urlencoded" in request.header("content-type"):
        xml = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
    elif request.header("x-amz-target") or "json" in request.header("content-type"):
        name = JSON_CODES.get(refused.code, f"{refused.code}Exception")
        content = json.dumps({"__type": name, "message": str(refused)})
        return 403, [("content-type", "application/json"), ("x-amzn-errortype", name)], content.encode()
    else:
        xml = f"<Error>{error}</Error>"
    return 403, [("content-type", "application/xml"), ("x-amzn-errortype", refused.code)], xml.encode()


async def _answer(send: Any, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    # The date lets a client with a wrong clock correct it.
    own = [(b"content-length", str(len(body)).encode()), (b"date", formatdate(usegmt=True).encode())]
    kept = [pair for pair in raw if pair[0].lower() != b"date"]
    await send({"type": "http.response.start", "status": status, "headers": [*kept, *own]})
    await send({"type": "http.response.body", "body": body})
