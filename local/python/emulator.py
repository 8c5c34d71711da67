"""Starts MiniStack as the local cloud needs it: it checks the program's policies for every call.

With AUTH=true, MiniStack itself gives a Lambda a session of its role only, checks signatures, and applies the policies
of roles, buckets, queues and topics. This module adds:

- Every call counts as made over TLS. The policies refuse plain HTTP, and the local cloud has no certificates. Its calls
  stay on loopback, where nobody else listens.
- A Glue call with the header `x-local-glue-resource` is authorised for that resource, but not executed. The local Glue
  sends it, because it runs jobs and workflows while MiniStack holds the roles.
- A copy of an object with tags needs the permissions to read and to write tags, as on S3.
- A wildcard of a policy matches line breaks too.
- The tagging API lists no Glue resource without tags.
- The folder of kept state has the file `saved` only while it holds all of it: the next start looks for that file.
- Every request goes through the front door (front_door.py), which refuses whatever is not signed.
- With AUTHORIZATIONS_FILE in the environment, each decision about a role's call is appended to that file, as a line of
  JSON: role, action, resource, allowed. Tests compare the roles' policies with them.

The user's credentials are MiniStack's own root credentials, which it reads from the environment (local/credentials.ts).
LOCAL_GLUE_FILE in the environment names the file that holds the local Glue's endpoint once it has started.
"""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path
from typing import Any

from front_door import RESOURCE_HEADER, Asgi, front_door
from ministack import app as ministack
from ministack.core import iam_actions, iam_evaluator, persistence, responses
from ministack.services import s3, tagging


def over_tls(app: Asgi) -> Asgi:
    """The same application, in which every request seems to come through a TLS proxy."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"x-forwarded-proto"]
            scope = {**scope, "headers": [*headers, (b"x-forwarded-proto", b"https")]}
        await app(scope, receive, send)

    return call


def authorize_for_local_glue() -> None:
    """Checks Glue calls that name a resource in a header for that resource, and answers without executing them."""
    find_resource = iam_actions.extract_resource_arn
    execute = ministack.SERVICE_HANDLERS["glue"]

    def resource_of(service: str, method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        named = headers.get(RESOURCE_HEADER) if service == "glue" else None
        return named or find_resource(service, method, path, headers, *rest)

    async def handle(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        if RESOURCE_HEADER in headers:
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, b"{}"
        return await execute(method, path, headers, *rest)

    iam_actions.extract_resource_arn = resource_of
    ministack.SERVICE_HANDLERS["glue"] = handle


def check_tags_of_copies() -> None:
    """Adds tag permissions to the check of CopyObject ("CopyObject", Permissions), which MiniStack leaves out."""
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


def let_wildcards_match_line_breaks() -> None:
    """Lets `*` and `?` of a policy match every character of a name, as on AWS: a key may hold line breaks."""
    compile_one_line = iam_evaluator._fnmatch_compile

    @functools.lru_cache(maxsize=4096)
    def compile_any(pattern: str, ignore_case: bool) -> re.Pattern[str]:
        found = compile_one_line(pattern, ignore_case)
        return re.compile(found.pattern.removesuffix("$") + r"\Z", found.flags | re.DOTALL)

    iam_evaluator._fnmatch_compile = compile_any


def list_tagged_glue_resources_only() -> None:
    """Hides what is left of a deleted job: the emulator keeps an empty entry for each Glue resource that had tags."""
    collect = tagging._COLLECTORS["glue"]

    def collect_tagged() -> Any:
        return (pair for pair in collect() if pair[1])

    tagging._COLLECTORS["glue"] = collect_tagged


def mark_saved_state() -> None:
    """Marks the state folder when all of it was saved, and takes the mark away before anything changes.

    So a folder without the mark was cut off: by a killed emulator, a full disk, or loss of power.
    """
    folder = Path(persistence.STATE_DIR)
    mark = folder / "saved"
    # MiniStack only logs when it can't save a file. The ledger and the metrics are in this one.
    tables = folder / "dynamodb.json"
    load, save = ministack._load_persisted_state, ministack.save_all

    def load_and_unmark() -> None:
        load()
        for file in (mark, tables):
            file.unlink(missing_ok=True)
        if folder.is_dir():
            sync_folder(folder)

    def save_and_mark(services: Any) -> None:
        save(services)
        if tables.exists():
            # Objects and state must be on the disk before the mark is.
            os.sync()
            mark.touch(mode=0o600)
            sync_folder(folder)

    ministack._load_persisted_state = load_and_unmark
    ministack.save_all = save_and_mark


def sync_folder(folder: Path) -> None:
    """Returns when the folder's list of files is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def secret_of(access_key: str, token: str) -> str | None:
    """The secret of the user's key, or of a key that the emulator gave out; not of MiniStack's fixed root keys."""
    if access_key == os.environ["AWS_ACCESS_KEY_ID"]:
        return None if token else os.environ["AWS_SECRET_ACCESS_KEY"]
    if iam_evaluator.is_root_access_key(access_key):
        return None
    try:
        account = iam_evaluator.find_iam_access_key_account(access_key)
    except iam_evaluator.AmbiguousAccessKeyError:
        return None
    account = account or responses._account_from_sts_session(access_key)
    found = iam_evaluator.resolve_credential(access_key, account, token)
    return getattr(found, "secret_access_key", None)


def main() -> None:
    """Serves until a signal ends it. Settings come from the environment, as for MiniStack itself."""
    authorize_for_local_glue()
    check_tags_of_copies()
    let_wildcards_match_line_breaks()
    list_tagged_glue_resources_only()
    mark_saved_state()
    file = os.environ.get("AUTHORIZATIONS_FILE")
    if file:
        record_authorizations(Path(file))
    glue = os.environ.get("LOCAL_GLUE_FILE")
    ministack.app = front_door(over_tls(ministack.app), secret_of, Path(glue) if glue else None)
    ministack.main()


if __name__ == "__main__":
    main()
