"""Checks the signature of a request ("AWS Signature Version 4 for API requests"), with botocore's own signer.

It takes a signature in the Authorization header or in the query (a presigned URL), also of an S3 upload in chunks,
whose header signature covers the first link of the chain. It takes no other kind: not Version 2, not Version 4A.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Callable
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
HASH = re.compile(r"[0-9a-f]{64}")
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
LARGEST_SKEW = dt.timedelta(minutes=15)
# The longest life of a presigned URL ("Authenticating Requests: Using Query Parameters").
LONGEST_LIFE_SECONDS = 7 * 24 * 3600
# Query parameters that name credentials, in any version of the signature.
CREDENTIAL_PARAMETERS = {"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature"}

# The secret of an access key with a session token (empty: none); None for a pair that nobody has.
Secrets = Callable[[str, str], "str | None"]


class Refused(Exception):
    """The request is not signed as it must be. Carries the code of AWS's error."""

    def __init__(self, code: str, message: str) -> None:
        """Takes AWS's code and a message for the caller."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Request:
    """A request as it came in: the path and query percent-encoded, and the names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    def header(self, name: str) -> str:
        """The values of a header, joined by commas; empty if there is none."""
        return ",".join(value for key, value in self.headers if key == name)


@dataclass(frozen=True)
class Signature:
    """What a request says of its signature."""

    access_key: str
    region: str
    service: str
    time: str
    signed_headers: list[str]
    value: str
    token: str
    # The query parameters that are signed.
    parameters: list[tuple[str, str]]
    is_presigned: bool

    # The body's SHA-256 as a signed header declares it; empty where none does, or where it names no hash.
    declared_hash: str = ""

    @property
    def signs_body(self) -> bool:
        """The hash of the body is in no header, so the body itself must be hashed for the signature."""
        presigned_upload = self.is_presigned and self.service == "s3"
        return "x-amz-content-sha256" not in self.signed_headers and not presigned_upload

    @property
    def needs_body(self) -> bool:
        """Whether the signature can't be checked without the body."""
        return self.signs_body or bool(self.declared_hash)


class _Signer(SigV4Auth):  # type: ignore[misc]
    """Signs what the request says is signed, and not what botocore itself would sign."""

    def __init__(self, credentials: Credentials, signature: Signature) -> None:
        super().__init__(credentials, signature.service, signature.region)
        self._signature = signature

    def headers_to_sign(self, request: AWSRequest) -> object:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        return super().payload(request) if self._signature.signs_body else UNSIGNED_PAYLOAD

    def _normalize_url_path(self, path: str) -> str:
        # S3 signs a path as it is sent, because `//` and `..` are part of a key.
        return path if self._signature.service == "s3" else super()._normalize_url_path(path)


def signature_of(request: Request) -> Signature:
    """Reads a request's signature. Raises Refused when it has none, two, or one of another kind."""
    parameters = _parameters(request)
    in_query = [name for name, _ in parameters if name.lower() in CREDENTIAL_PARAMETERS]
    authorizations = [value for name, value in request.headers if name == "authorization"]
    if not in_query and not authorizations:
        raise Refused(
            "MissingAuthenticationToken", "The request is not signed. `npx music-streams env` prints credentials."
        )
    # The emulator could take the one for the other.
    strange = [name for name in in_query if not name.startswith("X-Amz-")]
    if len(authorizations) > 1 or strange or (authorizations and in_query):
        raise Refused("IncompleteSignature", "The request names more than one credential, or one of another kind.")
    if authorizations:
        return _in_header(request, authorizations[0], parameters)
    return _in_query(parameters)


def _in_header(request: Request, authorization: str, parameters: list[tuple[str, str]]) -> Signature:
    algorithm, _, rest = authorization.partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    token = request.header("x-amz-security-token")
    declared = request.header("x-amz-content-sha256")
    found = _signature(algorithm, fields, request.header("x-amz-date"), token, parameters, is_presigned=False)
    names_hash = "x-amz-content-sha256" in found.signed_headers and HASH.fullmatch(declared)
    return replace(found, declared_hash=declared) if names_hash else found


def _in_query(parameters: list[tuple[str, str]]) -> Signature:
    found = dict(parameters)
    if len(found) != len(parameters):
        raise Refused("IncompleteSignature", "A parameter of the presigned URL is there twice.")
    fields = {name: found.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")}
    signed = [(name, value) for name, value in parameters if name != "X-Amz-Signature"]
    time = found.get("X-Amz-Date", "")
    token = found.get("X-Amz-Security-Token", "")
    return _signature(found.get("X-Amz-Algorithm", ""), fields, time, token, signed, is_presigned=True)


def _signature(
    algorithm: str,
    fields: dict[str, str],
    time: str,
    token: str,
    parameters: list[tuple[str, str]],
    *,
    is_presigned: bool,
) -> Signature:
    scope = fields.get("Credential", "").split("/")
    headers = [name.lower() for name in fields.get("SignedHeaders", "").split(";")]
    is_whole = algorithm == ALGORITHM and len(scope) == 5 and scope[4] == "aws4_request" and "host" in headers
    if not is_whole or not fields.get("Signature") or scope[1] != time[:8]:
        raise Refused("IncompleteSignature", f"The request needs a whole signature of the kind {ALGORITHM}.")
    return Signature(
        scope[0], scope[2], scope[3], time, headers, fields["Signature"], token, parameters, is_presigned, ""
    )


def check(request: Request, signature: Signature, body: bytes, secrets: Secrets, now: dt.datetime) -> None:
    """Raises Refused unless the request is signed with a secret that is known, and in time."""
    _check_time(signature, now)
    secret = secrets(signature.access_key, signature.token)
    if secret is None:
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    # With http, botocore hashes the body.
    copy = AWSRequest(request.method, f"http://host{request.path}", data=body, params=signature.parameters)
    for name, value in request.headers:
        if name in signature.signed_headers:
            copy.headers.add_header(name, value)
    copy.context["timestamp"] = signature.time
    signer = _Signer(Credentials(signature.access_key, secret), signature)
    expected = signer.signature(signer.string_to_sign(copy, signer.canonical_request(copy)), copy)
    if not hmac.compare_digest(expected.encode(), signature.value.encode()):
        raise Refused("SignatureDoesNotMatch", "The signature does not match the request and the secret key.")
    if signature.declared_hash and signature.declared_hash != hashlib.sha256(body).hexdigest():
        raise Refused("XAmzContentSHA256Mismatch", "The body is not the one that was signed.")


def _check_time(signature: Signature, now: dt.datetime) -> None:
    try:
        signed = dt.datetime.strptime(signature.time, TIME_FORMAT).replace(tzinfo=dt.timezone.utc)
        life = int(dict(signature.parameters).get("X-Amz-Expires", "0")) if signature.is_presigned else 0
    except ValueError:
        raise Refused("IncompleteSignature", "The date of the signature can't be read.") from None
    if life > LONGEST_LIFE_SECONDS or life < 0:
        raise Refused("AuthorizationQueryParametersError", "X-Amz-Expires must be at most a week.")
    end = signed + (dt.timedelta(seconds=life) if signature.is_presigned else LARGEST_SKEW)
    if not signed - LARGEST_SKEW <= now <= end:
        raise Refused("RequestTimeTooSkewed", "The signature has expired, or its date is in the future.")


def _parameters(request: Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(request.query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Refused("InvalidArgument", "The query of the request can't be read.") from None
