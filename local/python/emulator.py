"""Starts MiniStack as the local cloud needs it: it asks the policies of the program whether a call is allowed.

MiniStack does so by itself where AUTH is true: a Lambda then has a session of its role and nothing else, a caller's
signature is checked, and the policies of bucket, queue and topic count too. What this adds:

- A call counts as one over TLS. The policies refuse plain HTTP, and the local cloud has no certificates; what it is
  sent stays on loopback, where nobody else listens.
- A call of Glue with the header `x-local-glue-resource` is authorised for that resource and not carried out: the local
  Glue asks so, because it runs the jobs and workflows and MiniStack keeps the roles.
- A copy of an object that has tags needs the permissions to read and to write them, as with S3.
- With AUTHORIZATIONS_FILE in the environment, each question that was asked about a role's call is written there, a JSON
  object a line: role, action, resource, allowed. Tests hold the roles' policies to them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable

from ministack import app as ministack
from ministack.core import iam_actions, iam_evaluator
from ministack.services import s3

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

RESOURCE_HEADER = "x-local-glue-resource"


def over_tls(app: Asgi) -> Asgi:
    """The same application, told of each request that TLS ended in front of it."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"x-forwarded-proto"]
            scope = {**scope, "headers": [*headers, (b"x-forwarded-proto", b"https")]}
        await app(scope, receive, send)

    return call


def authorize_for_local_glue() -> None:
    """Has calls of Glue that name their resource in a header checked for it, and answered without being carried out."""
    find_resource = iam_actions.extract_resource_arn
    carry_out = ministack.SERVICE_HANDLERS["glue"]

    def resource_of(service: str, method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        named = headers.get(RESOURCE_HEADER) if service == "glue" else None
        return named or find_resource(service, method, path, headers, *rest)

    async def handle(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        if RESOURCE_HEADER in headers:
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, b"{}"
        return await carry_out(method, path, headers, *rest)

    iam_actions.extract_resource_arn = resource_of
    ministack.SERVICE_HANDLERS["glue"] = handle


def check_tags_of_copies() -> None:
    """Has CopyObject asked for the tags that it copies ("CopyObject", Permissions); MiniStack copies them unasked."""
    find_more = iam_actions.s3_additional_checks

    def more_of(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> list[tuple[str, str]]:
        checks = list(find_more(method, path, headers, body, query))
        source = iam_actions._s3_source_object(headers)
        # A part that is copied carries none.
        if source is None or "uploadId" in query or headers.get("x-amz-tagging-directive", "COPY") != "COPY":
            return checks
        arn = source[0]
        bucket, _, key = arn.removeprefix("arn:aws:s3:::").partition("/")
        if s3.object_tags_for_condition(bucket, key, {}):
            checks += [("s3:GetObjectTagging", arn), ("s3:PutObjectTagging", f"arn:aws:s3:::{path.lstrip('/')}")]
        return checks

    iam_actions.s3_additional_checks = more_of


def record_authorizations(file: Path) -> None:
    """Appends each decision about a call by a role to a file."""
    decide = iam_evaluator.enforce

    def decide_and_record(access_key_id: str, action: str, service: str, region: str, **more: Any) -> Any:
        denied = decide(access_key_id, action, service, region, **more)
        caller = iam_evaluator.resolve_caller_identity(access_key_id)
        role = iam_evaluator._role_name_from_assumed_arn(caller["userArn"]) if caller else ""
        if role:
            resource = more.get("resource_arn", "*")
            call = {"role": role, "action": action, "resource": resource, "allowed": denied is None}
            with file.open("a") as lines:
                lines.write(f"{json.dumps(call)}\n")
        return denied

    iam_evaluator.enforce = decide_and_record


def main() -> None:
    """Listens until it is told to end; settings come by the environment, as for MiniStack itself."""
    authorize_for_local_glue()
    check_tags_of_copies()
    file = os.environ.get("AUTHORIZATIONS_FILE")
    if file:
        record_authorizations(Path(file))
    ministack.app = over_tls(ministack.app)
    ministack.main()


if __name__ == "__main__":
    main()
