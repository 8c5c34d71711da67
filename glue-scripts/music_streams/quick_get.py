"""Reads whole small objects with less of the SDK's work: it only signs a URL, and its HTTP client gets that."""

from __future__ import annotations

from typing import Any

import urllib3.exceptions
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from music_streams.batch import ManifestFile


class QuickGet:
    """Gets objects of a bucket. Threads may share it."""

    def __init__(self, s3: Any, bucket: str, connections: int) -> None:
        """`s3` is a boto3 client."""
        self.s3, self.bucket = s3, bucket
        proxies = get_environ_proxies(s3.meta.endpoint_url)
        self.http = URLLib3Session(proxies=proxies, max_pool_connections=connections)
        self.connects = True

    def get(self, file: ManifestFile) -> bytes | None:
        """Returns the bytes of the claimed object. None: the SDK must try, which repeats calls and says what is wrong.

        Once a connection has failed, all others are the SDK's.
        """
        if not self.connects:
            return None
        asked = {"Bucket": self.bucket, "Key": file.key, "IfMatch": file.etag}
        url = self.s3.generate_presigned_url("get_object", Params=asked)
        try:
            answer = self.http.send(AWSRequest("GET", url, headers={"If-Match": file.etag}).prepare())
            content: bytes = answer.content
        except (BotoCoreError, urllib3.exceptions.HTTPError):
            self.connects = False
            return None
        return content if answer.status_code == 200 and len(content) == file.size else None
