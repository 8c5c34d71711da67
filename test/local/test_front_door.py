"""The front door of the local cloud: hand-made requests that it must refuse, and signed ones that it must let through.

Requests go over a socket, byte by byte as a row of a table has them: no client would send most of them.

One file: half of it is the table of requests.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from spark_support import ROOT

KEY = Credentials("LOCALTESTS", "a secret of the tests")
REGION = "us-east-1"
START_SECONDS = 600
BUCKET = "safe"


class Door(NamedTuple):
    """A running emulator behind its front door."""

    port: int
    glue_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, **given: str) -> Any:
        keys: Any = given or {"aws_access_key_id": KEY.access_key, "aws_secret_access_key": KEY.secret_key}
        once = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, config=once, **keys)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = Door(port, folder / "glue")
    own = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "EDGE_PORT": str(port),
        "AUTH": "true",
        "LAMBDA_EXECUTOR": "local",
        "STATE_DIR": str(folder),
        "TMPDIR": str(folder),
        "LOCAL_GLUE_FILE": str(found.glue_file),
        "AWS_ACCESS_KEY_ID": KEY.access_key,
        "AWS_SECRET_ACCESS_KEY": KEY.secret_key,
        "AWS_DEFAULT_REGION": REGION,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                str(ROOT / "local/python/guard.py"),
                str(os.getpid()),
                "5",
                sys.executable,
                "local/python/emulator.py",
            ],
            cwd=ROOT,
            env={**os.environ, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                found.client("s3").create_bucket(Bucket=BUCKET)
                break
            except Exception:
                time.sleep(0.1)
        else:
            raise RuntimeError((folder / "log").read_text()[-2000:])
        yield found
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Answer(NamedTuple):
    status: int
    head: str
    body: str


def send(door: Door, raw: str) -> Answer:
    """Sends bytes as they are, and reads until the other side closes."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=600) as connection:
        connection.sendall(raw.encode("latin-1"))
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    head, _, body = b"".join(parts).decode("latin-1").partition("\r\n\r\n")
    assert "access-control" not in head.lower(), head
    return Answer(int(head.split(" ")[1]), head, body)


def text(line: str, headers: dict[str, str], body: str = "") -> str:
    all_headers = {**headers, "Content-Length": str(len(body)), "Connection": "close"}
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in all_headers.items()), "", body])


def signed(
    door: Door,
    method: str = "GET",
    path: str = f"/{BUCKET}?list-type=2",
    *,
    service: str = "s3",
    body: str = "",
    headers: dict[str, str] | None = None,
    key: Credentials = KEY,
    host: str | None = None,
) -> dict[str, str]:
    """The headers of a request with its signature."""
    request = AWSRequest(method, f"{door.url}{path}", data=body.encode(), headers=dict(headers or {}))
    request.headers["Host"] = f"127.0.0.1:{door.port}" if host is None else host
    (S3SigV4Auth if service == "s3" else SigV4Auth)(key, service, REGION).add_auth(request)
    return dict(request.headers.items())


def presigned(door: Door, *, key: Credentials = KEY, expires: int = 60, more: str = "") -> str:
    request = AWSRequest("GET", f"{door.url}/{BUCKET}?{more}", headers={"Host": f"127.0.0.1:{door.port}"})
    S3SigV4QueryAuth(key, "s3", REGION, expires=expires).add_auth(request)
    return str(request.prepare().url).removeprefix(door.url)


LIST = f"GET /{BUCKET}?list-type=2 HTTP/1.1"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{port}", "127.0.0.1", "localhost:{port}", "LOCALHOST:{port}", "localhost", "[::1]:{port}"],
)
def test_lets_signed_requests_for_loopback_through(door: Door, host: str) -> None:
    host = host.format(port=door.port)
    answer = send(door, text(LIST, signed(door, host=host)))
    assert (answer.status, "ListBucketResult" in answer.body) == (200, True), answer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:4566"),
        ("Referer", "http://evil.example/page"),
        ("Referer", "http://evil.example/https://audit.example.org/hadoop/"),
        ("Referer", "https://audit.example.org.evil.example/hadoop/"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Host", "evil.example"),
        ("Host", "evil.example:{port}"),
        ("Host", "127.0.0.1.evil.example"),
        ("Host", "localhost.evil.example:{port}"),
        ("Host", "evil.localhost"),
        ("Host", "localhost."),
        ("Host", "127.0.0.1.:{port}"),
        ("Host", "0.0.0.0:{port}"),
        ("Host", "2130706433"),
        ("Host", "[::ffff:127.0.0.1]:{port}"),
        ("Host", "user@127.0.0.1"),
        ("Host", "127.0.0.1:80:80"),
        ("Host", ""),
    ],
)
def test_refuses_what_a_page_can_send_even_when_it_is_signed(door: Door, name: str, value: str) -> None:
    value = value.format(port=door.port)
    headers = signed(door, host=value) if name == "Host" else {**signed(door), name: value}
    answer = send(door, text(LIST, headers))
    # 400: the server's parser refuses it even earlier.
    assert answer.status == 400 or (answer.status == 403 and "<Code>AccessDenied</Code>" in answer.body), answer


def test_takes_an_address_that_a_person_types(door: Door) -> None:
    assert send(door, text(LIST, {**signed(door), "Sec-Fetch-Site": "none"})).status == 200


def test_takes_the_referer_of_hadoop_from_those_who_sign_alone(door: Door) -> None:
    audit = {"Referer": "https://audit.example.org/hadoop/1/op_open/a-b/?op=op_open&p1=s3a://lake/x"}
    assert send(door, text(LIST, {**signed(door), **audit})).status == 200
    assert send(door, text(LIST, {"Host": f"127.0.0.1:{door.port}", **audit})).status == 403


def test_refuses_requests_without_host_with_two_and_with_another_form_of_target(door: Door) -> None:
    headers = signed(door)
    without = {name: value for name, value in headers.items() if name != "Host"}
    for line in (LIST, LIST.replace("HTTP/1.1", "HTTP/1.0")):
        assert send(door, text(line, without)).status in (400, 403)
    twice = text(LIST, headers).replace("\r\n", "\r\nHost: evil.example\r\n", 1)
    assert send(door, twice).status in (400, 403)
    for target in (f"http://evil.example/{BUCKET}", f"http://127.0.0.1:{door.port}/{BUCKET}", "*", "127.0.0.1:1"):
        method = "OPTIONS" if target == "*" else "GET"
        assert send(door, text(f"{method} {target} HTTP/1.1", headers)).status in (400, 403)


def test_takes_http_1_0_with_a_host(door: Door) -> None:
    assert send(door, text(LIST.replace("HTTP/1.1", "HTTP/1.0"), signed(door))).status == 200


def test_refuses_web_sockets(door: Door) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    for path in ("/", "/_aws/execute-api/a/b", f"/{BUCKET}"):
        raw = text(f"GET {path} HTTP/1.1", {**signed(door, path=path), **upgrade})
        raw = raw.replace("Content-Length: 0\r\nConnection: close", "Connection: Upgrade")
        with socket.create_connection(("127.0.0.1", door.port), timeout=600) as connection:
            connection.sendall(raw.encode())
            assert connection.recv(100).split(b" ")[1] == b"403", path


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        *("/_ministack/reset", "//_ministack/reset", "/%5fministack/reset", "/%5Fministack%2Freset", "/./_ministack"),
        *("/%255fministack/reset", "/../_ministack/reset", "/%2e/_ministack/reset", "/_MINISTACK/reset"),
        *("/%2f_ministack/reset", "/%20_ministack/reset", "/\\_ministack/reset", "/_ministack/reset?x=1"),
        *("/_ministack/config", "/_ministack/health", "/_ministack/ready", "/_ministack/ses/messages"),
        *("/_ministack/lambda-code/x", "/_ministack/rds/iam-auth", "/_ministack/eks-auth/x"),
        *("/_localstack/health", "/_localstack/init", "/health", "/%68ealth", "/_aws/lambda-url/x", "/_alb/x"),
    ],
)
def test_has_no_administration_behind_it_even_when_the_request_is_signed(door: Door, method: str, path: str) -> None:
    plain = path.partition("?")[0]
    answer = send(door, text(f"{method} {path} HTTP/1.1", signed(door, method, plain)))
    assert answer.status == 403, answer
    assert "administration" in answer.body


def test_a_reset_that_gets_nowhere_leaves_everything_as_it_was(door: Door) -> None:
    names = [one["Name"] for one in door.client("s3").list_buckets()["Buckets"]]
    assert BUCKET in names


ACTION = "Action=ListRoles&Version=2010-05-08"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FIXED = "Credential={key}/20260101/us-east-1/iam/aws4_request"


@pytest.mark.parametrize(
    ("query", "authorization"),
    [
        ("", ""),
        ("", f"AWS4-HMAC-SHA256 {FIXED}, SignedHeaders=host, Signature=0"),
        (f"?X-Amz-{FIXED}", ""),
        (f"?x-amz-{FIXED}", ""),
        (f"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-{FIXED}&X-Amz-Signature=0&X-Amz-SignedHeaders=host", ""),
        ("?AWSAccessKeyId={key}&Signature=x&Expires=9999999999", ""),
        ("", "AWS {key}:c2ln"),
        ("", f"AWS4-ECDSA-P256-SHA256 {FIXED}, SignedHeaders=host;x-amz-region-set, Signature=0"),
        ("", "Bearer {key}"),
        ("", "Basic dGVzdDp0ZXN0"),
        ("", "AWS4-HMAC-SHA256"),
        ("", "AWS4-HMAC-SHA256 Credential={key}, SignedHeaders=host, Signature=0"),
    ],
)
@pytest.mark.parametrize("key", ["test", "000000000000", KEY.access_key, ""])
def test_refuses_requests_without_a_signature(door: Door, query: str, authorization: str, key: str) -> None:
    headers = {"Host": f"127.0.0.1:{door.port}", **FORM}
    if authorization:
        headers["Authorization"] = authorization.format(key=key)
    for line in (f"POST /{query.format(key=key)} HTTP/1.1", f"GET /{BUCKET}{query.format(key=key)} HTTP/1.1"):
        answer = send(door, text(line, headers, ACTION if line.startswith("POST") else ""))
        assert answer.status == 403, answer


@pytest.mark.parametrize("key", ["test", "000000000000", "123456789012", "NOBODY", ""])
@pytest.mark.parametrize("secret", ["test", KEY.secret_key, "another"])
def test_refuses_other_keys_than_those_of_this_start(door: Door, key: str, secret: str) -> None:
    foreign = Credentials(key, secret)
    assert send(door, text(LIST, signed(door, key=foreign))).status == 403
    form = signed(door, "POST", "/", service="iam", body=ACTION, headers=FORM, key=foreign)
    assert send(door, text("POST / HTTP/1.1", form, ACTION)).status == 403


def test_refuses_a_wrong_secret_and_a_changed_request(door: Door) -> None:
    wrong = Credentials(KEY.access_key, "another")
    assert send(door, text(LIST, signed(door, key=wrong))).status == 403
    good = signed(door, "POST", "/", service="iam", body=ACTION, headers=FORM)
    assert send(door, text("POST / HTTP/1.1", good, ACTION)).status == 200
    assert send(door, text("POST / HTTP/1.1", good, ACTION.replace("ListRoles", "ListUsers"))).status == 403
    assert send(door, text(f"GET /{BUCKET}?versions HTTP/1.1", signed(door))).status == 403
    assert send(door, text("GET /other?list-type=2 HTTP/1.1", signed(door))).status == 403
    assert send(door, text(LIST.replace("GET", "DELETE"), signed(door))).status == 403
    put, key = f"PUT /{BUCKET}/a HTTP/1.1", f"/{BUCKET}/a"
    upload = signed(door, "PUT", key, body="whole")
    assert send(door, text(put, upload, "whole")).status == 200
    assert send(door, text(put, upload, "other")).status == 403
    assert send(door, text(put, upload, "")).status == 403
    old = {**signed(door), "X-Amz-Date": "20260101T000000Z"}
    assert send(door, text(LIST, old)).status == 403


def test_refuses_a_second_credential_beside_the_signed_one(door: Door) -> None:
    for query in ("X-Amz-Credential=test/20260101/us-east-1/s3/aws4_request", "AWSAccessKeyId=test", "signature=x"):
        path = f"/{BUCKET}?{query}"
        assert send(door, text(f"GET {path} HTTP/1.1", signed(door, path=path))).status == 403
    for more in ("x-amz-credential=test/20260101/us-east-1/s3/aws4_request", "AWSAccessKeyId=test"):
        url = presigned(door, more=more)
        assert send(door, text(f"GET {url} HTTP/1.1", {"Host": f"127.0.0.1:{door.port}"})).status == 403
    twice = text(LIST, signed(door)).replace("Authorization:", "Authorization: AWS test:x\r\nAuthorization:")
    assert send(door, twice).status in (400, 403)


def test_checks_presigned_urls(door: Door) -> None:
    def status(path: str) -> int:
        return send(door, text(f"GET {path} HTTP/1.1", {"Host": f"127.0.0.1:{door.port}"})).status

    url = presigned(door)
    assert status(url) == 200
    assert status(url.replace(BUCKET, "other", 1)) == 403
    assert status(f"{url}&X-Amz-Expires=9") == 403
    assert status(f"{url}&list-type=2") == 403
    assert status(url[:-1] + ("0" if url[-1] != "0" else "1")) == 403
    assert status(presigned(door, key=Credentials("test", "test"))) == 403
    assert status(presigned(door, expires=-1)) == 403
    assert status(presigned(door, expires=8 * 24 * 3600)) == 403
    short = presigned(door, expires=1)
    time.sleep(2.1)
    assert status(short) == 403


def test_takes_uploads_in_chunks_and_refuses_those_of_a_wrong_secret(door: Door) -> None:
    body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    headers = {
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": "5",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
    }

    def put(key: Credentials) -> int:
        request = AWSRequest("PUT", f"{door.url}/{BUCKET}/chunks", headers=headers)
        request.headers["Host"] = f"127.0.0.1:{door.port}"
        # Unlike S3's own signer, it keeps the hash that the header names.
        SigV4Auth(key, "s3", REGION).add_auth(request)
        return send(door, text(f"PUT /{BUCKET}/chunks HTTP/1.1", dict(request.headers.items()), body)).status

    assert put(Credentials(KEY.access_key, "another")) == 403
    assert put(KEY) == 200
    assert door.client("s3").get_object(Bucket=BUCKET, Key="chunks")["Body"].read() == b"hello"


@pytest.mark.parametrize("key", ["a b+c%20.csv", "ö/ü?&=#.csv", "_x/../y//z/.csv", "a\nb\r.csv", "(!*').csv"])
def test_takes_every_key_that_a_client_signs(door: Door, key: str) -> None:
    s3 = door.client("s3")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"1", Metadata={"note": "two  words"})
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"1"
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == 1
    s3.delete_object(Bucket=BUCKET, Key=key)


def test_takes_the_sessions_of_roles_with_their_token_alone(door: Door) -> None:
    trust = '{"Statement":[{"Effect":"Allow","Principal":{"Service":"glue.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    iam = door.client("iam")
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    policy = '{"Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"}]}'
    iam.put_role_policy(RoleName="reader", PolicyName="own", PolicyDocument=policy)
    session = door.client("sts").assume_role(RoleArn=arn, RoleSessionName="own")["Credentials"]
    keys = {"aws_access_key_id": session["AccessKeyId"], "aws_secret_access_key": session["SecretAccessKey"]}
    own = door.client("s3", **keys, aws_session_token=session["SessionToken"])
    own.list_objects_v2(Bucket=BUCKET)
    with pytest.raises(ClientError, match="AccessDenied"):
        own.put_object(Bucket=BUCKET, Key="x", Body=b"")
    for token in ({}, {"aws_session_token": "another"}):
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            door.client("s3", **keys, **token).list_objects_v2(Bucket=BUCKET)


@pytest.mark.parametrize("name", ["a\nb.csv", "\n", "a\r\nb\n", "a\u2028b.csv"])
def test_lets_a_role_at_names_with_line_breaks_that_its_pattern_covers(door: Door, name: str) -> None:
    trust = '{"Statement":[{"Effect":"Allow","Principal":{"Service":"glue.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    iam = door.client("iam")
    role = f"breaks-{name.encode().hex()}"
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/in/*"}
    iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=json.dumps({"Statement": [allow]}))
    session = door.client("sts").assume_role(RoleArn=arn, RoleSessionName="own")["Credentials"]
    own = door.client(
        "s3",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    own.put_object(Bucket=BUCKET, Key=f"in/{name}", Body=b"1")
    for elsewhere in (f"out/{name}", f"\nin/{name}", f"{name}/in/x"):
        with pytest.raises(ClientError, match="AccessDenied"):
            own.put_object(Bucket=BUCKET, Key=elsewhere, Body=b"1")


def test_names_the_reason_in_the_form_of_each_service(door: Door) -> None:
    keys = {"aws_access_key_id": KEY.access_key, "aws_secret_access_key": "another"}
    for service, call, code in (
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
        ("iam", "list_roles", "SignatureDoesNotMatch"),
        ("dynamodb", "list_tables", "InvalidSignatureException"),
        ("glue", "get_jobs", "InvalidSignatureException"),
        ("sqs", "list_queues", "InvalidSignatureException"),
    ):
        with pytest.raises(ClientError, match=f"{code}.*does not match"):
            getattr(door.client(service, **keys), call)()


def test_sends_glue_calls_to_the_local_glue_unchanged_and_only_signed_ones(door: Door) -> None:
    seen: list[tuple[str, str, bytes]] = []

    class Glue(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.headers["host"], self.headers["x-amz-target"], body))
            answer = b'{"Jobs": [{"Name": "mine"}]}'
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.send_header("access-control-allow-origin", "*")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Glue)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    door.glue_file.write_text(f"http://127.0.0.1:{server.server_address[1]}")
    try:
        assert door.client("glue").get_jobs()["Jobs"] == [{"Name": "mine"}]
        assert seen == [(f"127.0.0.1:{door.port}", "AWSGlue.GetJobs", b"{}")]
        target = {"X-Amz-Target": "AWSGlue.GetJobs", "Content-Type": "application/x-amz-json-1.1"}
        plain = {"Host": f"127.0.0.1:{door.port}", **target}
        assert send(door, text("POST / HTTP/1.1", plain, "{}")).status == 403
        headers = signed(door, "POST", "/", service="glue", body="{}", headers=target)
        assert send(door, text("POST / HTTP/1.1", {**headers, "Origin": "null"}, "{}")).status == 403
        assert send(door, text("POST / HTTP/1.1", headers, "{}")).status == 200
        assert len(seen) == 2
    finally:
        server.shutdown()
        server.server_close()
        door.glue_file.unlink()
