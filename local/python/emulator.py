"""Starts MiniStack with authorisation by the program's policies, as the local cloud needs it.

MiniStack authorises calls itself where AUTH is true: a Lambda has only its role's session, signatures are checked, and
the policies of bucket, queue and topic apply too. This adds:

- Every call counts as TLS. The policies refuse plain HTTP, and the local cloud has no certificates. Its calls stay on
  loopback.
- A call of Glue with the header `x-local-glue-resource` is authorised for that resource and not carried out. The local
  Glue, which runs jobs and workflows, asks MiniStack this way, which has the roles.
- A copy of an object with tags needs the permissions to read and write tags, as in S3.
- With AUTHORIZATIONS_FILE in the environment, each decision about a role's call is written there, one JSON object per
  line: role, action, resource, allowed. Tests compare the roles' policies with them.
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
    """Wraps the application: each request has the header of a proxy that ended TLS."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"x-forwarded-proto"]
            scope = {**scope, "headers": [*headers, (b"x-forwarded-proto", b"https")]}
        await app(scope, receive, send)

    return call


def authorize_for_local_glue() -> None:
    """Authorises calls of Glue that name their resource in a header, and answers them without carrying them out."""
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
    """Checks the permissions for tags in CopyObject ("CopyObject", Permissions). MiniStack does not."""
    find_more = iam_actions.s3_additional_checks

    def more_of(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> list[tuple[str, str]]:
        checks = list(find_more(method, path, headers, body, query))
        source = iam_actions._s3_source_object(headers)
        # A copied part has no tags.
        if source is None or "uploadId" in query or headers.get("x-amz-tagging-directive", "COPY") != "COPY":
            return checks
        arn = source[0]
        bucket, _, key = arn.removeprefix("arn:aws:s3:::").partition("/")
        if s3.object_tags_for_condition(bucket, key, {}):
            checks += [("s3:GetObjectTagging", arn), ("s3:PutObjectTagging", f"arn:aws:s3:::{path.lstrip('/')}")]
        return checks

    iam_actions.s3_additional_checks = more_of


def record_authorizations(file: Path) -> None:
    """Appends each decision about a role's call to a file."""
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
    """Runs until it is asked to end. Settings come from the environment, as for MiniStack itself."""
    authorize_for_local_glue()
    check_tags_of_copies()
    file = os.environ.get("AUTHORIZATIONS_FILE")
    if file:
        record_authorizations(Path(file))
    ministack.app = over_tls(ministack.app)
    ministack.main()


if __name__ == "__main__":
    main()
