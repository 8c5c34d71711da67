"""Files that change or fail while the job runs, and the reference data. bad_input.py has the contents of bad files.

One file, because its tests share a warm Spark and the fixtures above them.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyspark.sql import SparkSession
from transform_support import SONGS, SONGS_KEY, USERS, USERS_KEY, Lake, csv, incoming, zipped

import oracle
from music_streams import inputs, layout, staging, store
from music_streams.batch import BatchError
from music_streams.rows import LONGEST_FIELD, MOST_COLUMNS
from spark_support import FULL

GOOD, OTHER = csv("u0,t0,2024-06-25 10:00:00"), csv("u9,t9,2024-06-25 10:00:00")
QUOTED = csv('"u0",t0,2024-06-25 10:00:00')
ARCHIVE = layout.key("archived", date="2024-06-25", batchId="x", name="")


@pytest.fixture
def lake(s3: Any, spark: SparkSession) -> Lake:
    return Lake(s3, spark)


WHOLE = zipped(csv(*[f"u{n},t{n},2024-06-25 10:00:00" for n in range(20_000)]))


# Files that only Spark finds unreadable, and why.
FOUND_BY_SPARK = {
    "a field too long.csv": (csv(f"{'y' * (LONGEST_FIELD + 1)},t0,x"), "unreadable"),
    "a row too wide.csv": (csv("," * MOST_COLUMNS), "unreadable"),
    "an open quote.csv": (csv('u0,t0,"2024-06-25 10:00:00'), "unreadable"),
    "a NUL byte.csv": (csv("u0,t0,\0"), "not_text"),
}
FOUND_BEFORE = {"empty.csv": ("", "empty_file"), "no table.csv": ("x", "missing_columns")}


@pytest.mark.parametrize("files", [FOUND_BEFORE, FOUND_BY_SPARK], ids=["before Spark reads", "by Spark"])
def test_a_batch_of_bad_files_alone_succeeds_with_nothing_kept(lake: Lake, files: dict[str, tuple[str, str]]) -> None:
    report = lake.run({name: content for name, (content, _) in files.items()})
    assert {file["name"]: file["reason"] for file in report["filesQuarantined"]} == {
        name: reason for name, (_, reason) in files.items()
    }
    assert (report["rowsRead"], report["days"], report["files"]) == (0, [], [])


class Refusing:
    """An S3 client that S3 refuses some keys, each with a code and a status, as for an object with a disabled key."""

    def __init__(self, s3: Any, refused: Mapping[str, tuple[str, int]]) -> None:
        self.s3, self.refused = s3, refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def generate_presigned_url(self, operation: str, Params: dict[str, Any]) -> str:
        missing = {**Params, "Key": "missing"} if Params["Key"] in self.refused else Params
        return str(self.s3.generate_presigned_url(operation, Params=missing))

    def get_object(self, **asked: Any) -> Any:
        self.refuse(asked["Key"], "GetObject")
        return self.s3.get_object(**asked)

    def copy_object(self, **asked: Any) -> Any:
        self.refuse(asked["CopySource"]["Key"], "CopyObject")
        return self.s3.copy_object(**asked)

    def refuse(self, key: str, operation: str) -> None:
        if key in self.refused:
            code, status = self.refused[key]
            error = {"Code": code, "Message": "no access"}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)  # type: ignore[typeddict-item]


REFUSALS = {"AccessDenied": 403, "KMS.DisabledException": 400, "InvalidRequest": 400, "InvalidObjectState": 403}
# A list of S3 has 1,000 keys a page. Of each refusal there are so many files.
SMALL_FILES, REFUSED_FILES = (1200, 100) if FULL else (60, 5)
REFUSED = {f"{code}/{n}.csv": code for code in REFUSALS for n in range(REFUSED_FILES)}


@pytest.fixture(scope="module")
def many(s3: Any, spark: SparkSession) -> tuple[Lake, dict[str, Any]]:
    """A batch of many small files, and others that S3 refuses. Its report."""
    lake = Lake(s3, spark)
    names = [*(f"{n % 7}/{n}.csv" for n in range(SMALL_FILES)), *REFUSED]
    store.in_parallel(
        lambda n: lake.put(incoming(names[n]), csv(f"u{n},t0,2024-06-25 10:00:00", f"-u{n},t0,2024-06-25 10:00:00")),
        range(len(names)),
    )
    refusals = {incoming(name): (code, REFUSALS[code]) for name, code in REFUSED.items()}
    return lake, lake.transform(lake.claim(), s3=Refusing(s3, refusals))


@pytest.mark.grows
def test_many_small_files_are_one_quick_batch(many: tuple[Lake, dict[str, Any]]) -> None:
    lake, report = many
    assert (len(report["files"]), report["rowsRead"], report["rowsKept"], report["rowsQuarantined"]) == (
        SMALL_FILES,
        2 * SMALL_FILES,
        SMALL_FILES,
        {"bad_id": SMALL_FILES},
    )
    assert len(lake.keys(layout.key("listens"))) == 1


@pytest.mark.grows
@pytest.mark.parametrize("code", REFUSALS)
def test_files_that_s3_refuses_are_quarantined_in_one_run(many: tuple[Lake, dict[str, Any]], code: str) -> None:
    _, report = many
    assert len(report["filesQuarantined"]) == len(REFUSED)
    found = {file["name"]: file for file in report["filesQuarantined"] if file["name"].startswith(f"{code}/")}
    assert found.keys() == {name for name, of_file in REFUSED.items() if of_file == code}
    assert {file["reason"] for file in found.values()} == {"refused"}
    assert all(f"{code}: no access" in file["detail"] for file in found.values())


def test_a_role_that_may_read_no_file_fails_the_run_and_quarantines_nothing(lake: Lake) -> None:
    batch = lake.claim({"a.csv": GOOD, "b.csv": GOOD})
    denied = {incoming("a.csv"), incoming("b.csv")}
    with pytest.raises(BatchError, match=r"may read none of the batch's 2 files: .*AccessDenied: no access"):
        lake.transform(batch, s3=Refusing(lake.s3, dict.fromkeys(denied, ("AccessDenied", 403))))
    assert lake.json("transformReport", batch) is None
    # An object's own fault is another thing: a key that is disabled may be that of all files.
    report = lake.transform(batch, s3=Refusing(lake.s3, dict.fromkeys(denied, ("KMS.DisabledException", 400))))
    assert [file["reason"] for file in report["filesQuarantined"]] == ["refused"] * 2


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("ExpiredToken", 400), ("InternalError", 500)])
def test_an_error_that_may_pass_fails_the_run_and_quarantines_nothing(lake: Lake, code: str, status: int) -> None:
    batch = lake.claim({"a.csv": GOOD, "b.csv": GOOD})
    with pytest.raises(ClientError, match=code):
        lake.transform(batch, s3=Refusing(lake.s3, {incoming("a.csv"): (code, status)}))
    assert lake.json("transformReport", batch) is None


@pytest.fixture(scope="module")
def archived(s3: Any, spark: SparkSession) -> tuple[Lake, str]:
    """A batch of two archived files, which has run."""
    lake = Lake(s3, spark)
    for name, content in (("a.csv", GOOD), ("b.csv", csv("u1,t1,2024-06-25 10:00:00"))):
        lake.put(ARCHIVE + name, content)
    entries = lake.entries(ARCHIVE)
    batch = lake.write_manifest(
        [{**lake.claimed(entry), "name": entry["Key"].removeprefix(ARCHIVE)} for entry in entries]
    )
    assert lake.transform(batch)["rowsKept"] == 2
    return lake, batch


def test_a_replay_fails_when_s3_refuses_an_archived_file_and_keeps_its_rows(archived: tuple[Lake, str]) -> None:
    lake, batch = archived
    before = lake.curated(batch)
    with pytest.raises(ClientError, match="AccessDenied"):
        lake.transform(batch, s3=Refusing(lake.s3, {f"{ARCHIVE}a.csv": ("AccessDenied", 403)}))
    assert lake.curated(batch) == before
    assert len(before) == 2


@pytest.fixture(scope="module")
def changed(s3: Any, spark: SparkSession) -> tuple[Lake, list[dict[str, Any]]]:
    """A batch whose files change after the claim. Two attempts' reports.

    One comes back after the first attempt. `late.csv` changes only while that one reads: between its examination and
    its copy, which it has because of its quotes.
    """
    lake, copy = Lake(s3, spark), store.copy
    files = {"a.csv": GOOD, "b.csv": GOOD, "c.csv": csv("u1,t1,2024-06-25 10:00:00"), "d.csv": "", "late.csv": QUOTED}
    batch = lake.claim(dict(files))
    lake.put(incoming("a.csv"), OTHER)
    lake.put(incoming("d.csv"), GOOD)
    lake.s3.delete_object(Bucket=lake.bucket, Key=incoming("b.csv"))

    def overwrite_then_copy(s3: Any, buckets: tuple[str, str], file: Any, target: str) -> None:
        if file.name == "late.csv":
            lake.put(incoming("late.csv"), OTHER)
        copy(s3, buckets, file, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "copy", overwrite_then_copy)
        first = lake.transform(batch)
    assert [row["user_id"] for row in lake.curated()] == ["u1"]
    lake.put(incoming("b.csv"), GOOD)
    return lake, [first, lake.transform(batch)]


def names_changed(report: dict[str, Any]) -> list[str]:
    """The changed files by name. Each has its key."""
    assert all(file["key"] == incoming(file["name"]) for file in report["filesChanged"])
    return sorted(file["name"] for file in report["filesChanged"])


def test_a_file_overwritten_or_gone_since_the_claim_is_not_read(changed: tuple[Lake, list[dict[str, Any]]]) -> None:
    _, (report, _) = changed
    assert names_changed(report) == ["a.csv", "b.csv", "d.csv", "late.csv"]
    assert [file["name"] for file in report["files"]] == ["c.csv"]


def test_an_overwrite_while_the_job_reads_does_not_slip_in(changed: tuple[Lake, list[dict[str, Any]]]) -> None:
    lake, (report, _) = changed
    assert lake.content(incoming("late.csv")) == OTHER.encode()
    assert "late.csv" in names_changed(report)
    assert [row["user_id"] for row in lake.curated()] == ["u1"]


def test_a_changed_file_that_comes_back_is_not_read_by_a_later_attempt(
    changed: tuple[Lake, list[dict[str, Any]]],
) -> None:
    lake, (first, again) = changed
    assert names_changed(again) == names_changed(first)
    assert [file["name"] for file in again["files"]] == ["c.csv"]
    assert [row["user_id"] for row in lake.curated()] == ["u1"]


def test_a_replay_whose_file_is_gone_fails_and_takes_nothing_away(archived: tuple[Lake, str]) -> None:
    lake, batch = archived
    before, content = lake.curated(batch), lake.content(f"{ARCHIVE}b.csv")
    lake.s3.delete_object(Bucket=lake.bucket, Key=f"{ARCHIVE}b.csv")
    with pytest.raises(BatchError, match=r"b\.csv in the archive changed after.*1 such files.*bucket's versions"):
        lake.transform(batch)
    lake.put(f"{ARCHIVE}b.csv", content)
    assert lake.curated(batch) == before
    assert len(before) == 2


def test_a_line_longer_than_a_field_may_be_is_not_lost(lake: Lake) -> None:
    # Spark's reader of lines leaves them out without an error.
    header = "user_id,track_id,listen_time,a,b"
    half = "x" * (LONGEST_FIELD * 3 // 4)
    long = f"u1,t0,2024-06-25 10:00:00,{half},{half}"
    files = {"a.csv": csv("u0,t0,2024-06-25 10:00:00,,", long, header=header), "b.csv": csv(long, header=header)}
    report = lake.run({**files, "c.csv.gz": zipped(csv(long.replace("u1", "u2"), header=header))})
    assert [(file["rowsRead"], file["rowsKept"]) for file in report["files"]] == [(2, 2), (1, 0), (1, 1)]
    assert [row["user_id"] for row in lake.curated()] == ["u0", "u1", "u2"]


def test_a_gzip_is_quarantined_when_its_end_is_bad(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "UNSUSPECTED_BYTES", 1024**2)
    noise = csv(*[f"{os.urandom(20).hex()},t0,2024-06-25 10:00:00" for _ in range(20_000)])
    whole = zipped(noise)
    listens = [f"u4,t1,2024-06-25 10:00:00,{os.urandom(20).hex()}" for _ in range(20_000)]
    noted = zipped(csv(*listens, header="user_id,track_id,listen_time,note"))
    report = lake.run(
        {
            "a.csv.gz": whole[:-1000],
            "b.csv": GOOD,
            "c.csv.gz": whole[:300_000] + b"\xff" * 1000 + whole[301_000:],
            "d.csv.gz": zipped(csv("u1,t1,2024-06-25 10:00:00")),
            # Spark would take the first line for the header, so transform rewrites the file.
            "e.csv.gz": zipped("\ufeff\r\n" + noise)[:-1000],
            "f.csv.gz": zipped("\ufeff\r\n" + csv("u2,t1,2024-06-25 10:00:00")),
            "g.csv.gz": zipped(csv(*["u3,t1,2024-06-25 10:00:00"] * 200_000)),
            # Zeros behind a gzip are none of its content.
            "h.csv.gz": noted + bytes(600),
        }
    )
    assert [(bad["name"], bad["reason"]) for bad in report["filesQuarantined"]] == [
        (name, "unreadable") for name in ("a.csv.gz", "c.csv.gz", "e.csv.gz", "g.csv.gz")
    ]
    assert "grows too much" in report["filesQuarantined"][-1]["detail"]
    assert [row["user_id"] for row in lake.curated()] == ["u0", "u1", "u2", "u4"]


def test_a_failure_that_is_not_the_file_s_own_fails_the_job(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_copies(*arguments: Any, **named: Any) -> staging.Staging:
        staged = stage(*arguments, **named)
        for table in staged.tables:
            if table.table.file.name == "a.csv":
                lake.put(table.folder + "000009.csv.gz", WHOLE[:-50])
        return staged

    import transform

    stage = staging.stage
    monkeypatch.setattr(transform, "stage", lose_copies)
    with pytest.raises(Exception, match=r"000009\.csv\.gz"):
        lake.transform(lake.claim({"a.csv": QUOTED}))
    assert lake.copies() == []
    assert lake.keys(layout.folder("listens")) == []


@pytest.mark.parametrize("name", ["users", "songs"])
def test_a_missing_reference_data_set_fails_the_job_before_it_says_that_it_reads(lake: Lake, name: str) -> None:
    folder = layout.key("reference") + layout.key(name)
    lake.s3.delete_object(Bucket=lake.bucket, Key=SONGS_KEY if name == "songs" else USERS_KEY)
    lake.put(folder, "")
    lake.put(f"{folder}notes.txt", "x")
    batch = lake.claim({"a.csv": GOOD})
    with pytest.raises(BatchError, match=f"{folder} holds no"):
        lake.transform(batch)
    assert lake.json("readingMarker", batch) is None
    lake.put(f"{folder}broken.csv", "not,the,columns\n1,2,3\n")
    place = f"s3://{lake.bucket}/{folder}broken.csv"
    with pytest.raises(BatchError, match=f"no usable reference data for {name}: {place}: missing_columns"):
        lake.transform(batch)
    assert lake.json("readingMarker", batch) is None


def test_reference_data_may_lie_in_another_bucket_and_then_alone_there(lake: Lake) -> None:
    elsewhere = f"{lake.bucket}-dimensions"
    location = f"s3://{elsewhere}/music/"
    songs, users = layout.key("songs"), layout.key("users")
    batch = lake.claim({"a.csv": csv("u0,t0,2024-06-25 10:00:00")})
    with pytest.raises(BatchError, match=f"/music/({users}|{songs}) can't be listed: .*NoSuchBucket"):
        lake.transform(batch, "--reference-location", location)
    lake.s3.create_bucket(Bucket=elsewhere)

    def put(key: str, content: str) -> None:
        lake.s3.put_object(Bucket=elsewhere, Key=key, Body=content.encode())

    put(f"music/{users}u.csv", "user_id,user_age,user_country\nu0,77,Elsewhere\n")
    with pytest.raises(BatchError, match=f"s3://{elsewhere}/music/{songs} holds no"):
        lake.transform(batch, "--reference-location", location)
    # Transform copies the first as it is, and rewrites the second from its header on.
    put(f"music/{songs}s.csv", "track_id,track_name,track_genre\nt0,There,folk\n")
    put(f"music/{songs}t.csv", "\ufeff\ntrack_id,track_name,track_genre\nt0,There,jazz\n")
    put(f"{songs}none.csv", "track_id,track_name,track_genre\nt0,Not there,none\n")
    lake.transform(batch, "--reference-location", location)
    (row,) = lake.curated()
    assert (row["track_name"], row["genres"], row["user_age"]) == ("There", ["folk", "jazz"], 77)
    found = lake.s3.list_objects_v2(Bucket=elsewhere)["Contents"]
    assert {entry["Key"] for entry in found} == {
        f"music/{songs}s.csv",
        f"music/{songs}t.csv",
        f"music/{users}u.csv",
        f"{songs}none.csv",
    }


def test_reference_data_is_read_from_odd_files_and_its_bad_rows_are_counted(lake: Lake) -> None:
    songs, users = (layout.key("reference") + layout.key(name) for name in ("songs", "users"))
    for key in (SONGS_KEY, USERS_KEY):
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    lake.put(
        f"{songs}_a [x]//1.csv",
        '\ufeffTRACK_GENRE,"Track_Id",track_name,Artists,duration_ms,popularity,album_name\r\n'
        'zouk,t0,"Z, ""first""\nfile",Z,1,1,\r\ntoo,few\r\nrock,,no id,x,1,1,x\r\n',
    )
    lake.put(
        f"{songs}b.csv.gz",
        zipped(
            "track_id,track_genre,track_name,artists,duration_ms,popularity,album_name\nt0,pop,Second,B,abc,12.5,Al\nt0,pop,Third,C,3,3,Al\nt0,,None,D,4,4,Al\n"
        ),
    )
    lake.put(f"{songs}c.csv", "track_id,name\nt0,x\n")
    # A gap of U+00A0 and blanks around genres and ids say nothing; a genre of blanks is none.
    lake.put(
        f"{songs}d.csv", "track_id,track_genre\n t1,Ärger\nt1\u00a0,\u00a0Zebra \nt1,apple\nt1, apple\nt1,\u00a0\n"
    )
    # One quote is open in the middle, one at the end: each costs its row.
    opened = ['t2,pop,"two', 'lines"', 't3,"open,x', "t4,nan,F", 't4,None,"D, d"', 't5,pop,"open', ""]
    lake.put(f"{songs}e.csv", "\r\n".join(["track_id,track_genre,track_name", *opened]))
    numbers = ["214000.0", "2.14e5", " +7 ", "-5", "12.5", "9223372036854775808", "3 min", "", "9223372036854775807"]
    lake.put(
        f"{songs}f.csv",
        csv(*[f"n{n},Caf\ufffd,{text}" for n, text in enumerate(numbers)], header="track_id,track_genre,duration_ms"),
    )
    lake.put(f"{users} .csv", "user_id,user_age,user_country\nu0, 41 ,\nu0,9,Second\n u1,old,Ö\nu1\n")
    lake.put(f"{users}first column.csv", 'user_id,user_age\n"u7,7\nu8,8\n')
    tracks = [*[f"t{n}" for n in range(6)], *[f"n{n}" for n in range(len(numbers))]]
    report = lake.run({"a.csv": csv(*[f"u{n},{track},2024-06-25 10:00:00" for n, track in enumerate(tracks)])})
    assert report["referenceRowsSkipped"] == {"users": 2, "songs": 4}
    assert [(bad["key"], bad["reason"]) for bad in report["referenceFilesSkipped"]] == [
        (f"{songs}c.csv", "missing_columns")
    ]
    assert report["referenceQuotesOpen"] == [
        {"key": f"{users}first column.csv", "line": 2},
        {"key": f"{songs}e.csv", "line": 4},
        {"key": f"{songs}e.csv", "line": 7},
    ]
    assert [
        tuple(value[name] for name in ("column", "reason", "rows", "example"))
        for value in (*report["referenceValuesSkipped"], *report["referenceValuesSuspicious"])
    ] == [
        ("user_age", "not_a_number", 1, "old"),
        ("duration_ms", "negative", 1, "-5"),
        ("duration_ms", "not_a_number", 2, "abc"),
        ("duration_ms", "not_whole", 1, "12.5"),
        ("duration_ms", "too_large", 1, "9223372036854775808"),
        ("popularity", "not_whole", 1, "12.5"),
        ("track_genre", "not_utf_8", len(numbers), "Caf\ufffd"),
        ("track_genre", "suspicious", 1, "None"),
        ("track_genre", "suspicious", 1, "nan"),
    ]
    names = ("track_name", "artists", "duration_ms", "genres", "user_age", "user_country")
    found = {row["track_id"]: [row[name] for name in names] for row in lake.curated()}
    # The first row by genre is the one without a genre.
    assert found["t0"] == ["None", "D", 4, ["pop", "zouk"], 41, None]
    assert found["t1"] == [None, None, None, ["Zebra", "apple", "Ärger"], None, "Ö"]
    assert found["t2"] == ["two\r\nlines", None, None, ["pop"], None, None]
    assert found["t3"] == found["t5"] == [None, None, None, [], None, None]
    assert found["t4"][3] == ["None", "nan"]
    assert [found[f"n{n}"][2] for n in range(len(numbers))] == [214000, 214000, 7, *[None] * 5, 2**63 - 1]
    assert (report["unknownTracks"], report["unknownUsers"]) == (2, len(tracks) - 3)


def test_a_connection_that_breaks_is_not_the_file_s_fault(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    class Flaky:
        """Breaks off every other body of each stream file in its middle."""

        def __init__(self) -> None:
            self.calls: Counter[str] = Counter()

        def __getattr__(self, name: str) -> Any:
            return getattr(lake.s3, name)

        def generate_presigned_url(self, operation: str, Params: dict[str, Any]) -> str:
            return str(lake.s3.generate_presigned_url(operation, Params={**Params, "Key": "missing"}))

        def get_object(self, **arguments: Any) -> Any:
            answer = lake.s3.get_object(**arguments)
            key = arguments["Key"]
            if key.startswith(incoming("")):
                # Calls for one file don't overlap; calls for several files do.
                self.calls[key] += 1
                if self.calls[key] % 2:
                    answer["Body"] = Broken(answer["Body"].read())
            return answer

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 0 or size is None or size < 0:
                raise ConnectionResetError("reset")
            return super().read(min(size, 10))

    # A file of up to HEAD_BYTES is read at once, a larger one by pieces.
    monkeypatch.setattr(inputs, "HEAD_BYTES", 100)
    flaky = Flaky()
    files = {f"small/{n}.csv.gz": zipped(csv(f"u{n},t0,2024-06-25 10:00:00")) for n in range(8)}
    files |= {f"large/{n}.csv.gz": zipped(csv(f"{os.urandom(60).hex()},t0,2024-06-25 10:00:00")) for n in range(8)}
    assert all((len(content) > 100) == name.startswith("large/") for name, content in files.items())
    report = lake.transform(lake.claim(dict(files)), s3=flaky)
    assert [name for name in files if flaky.calls[incoming(name)] < 2] == []
    assert (report["rowsKept"], report["filesQuarantined"]) == (16, [])


def test_columns_may_have_other_names_in_streams_and_reference_data(lake: Lake) -> None:
    songs, users = SONGS.replace("id,track_id", "id,Track URI", 1), USERS.replace("user_id", "user", 1)
    lake.put(SONGS_KEY, songs.replace("track_genre", "genre", 1))
    lake.put(USERS_KEY, users)
    names = {
        "user_id": ["listener", "user", "username"],
        "track_id": ["track uri", "spotify_track_uri"],
        "listen_time": ["ts"],
        "track_genre": ["genre"],
    }
    files: dict[str, str | bytes] = {
        "a.csv": csv("2024-06-25 10:00:00,t0,u0", header="TS, Track URI ,User"),
        # A name of its own counts first, then the names in their order.
        "b.csv": csv("other,u1,t1,2024-06-25T11:00:00Z", header="user,user_id,track_id,listen_time"),
        "c.csv": csv("u0,other,t1,2024-06-25 12:00:00", header="listener,user,track_id,ts"),
        # The header of Spotify's extended history, as its usual tools make a CSV of it.
        "spotify.csv": csv(
            "2025-01-01T13:41:44Z,made.up,web,82932,GH,Ghosts,Some,spotify:track:6I3mqTwhRpn34SLVafXX01,,False",
            header="ts,username,platform,ms_played,conn_country,master_metadata_track_name,"
            "master_metadata_album_artist_name,spotify_track_uri,episode_name,skipped",
        ),
        "twice.csv": csv("u0,u1,t0,2024-06-25 10:00:00", header="user,user,track_id,ts"),
        "none.csv": csv("u1,t0,2024-06-25 10:00:00", header="person,track_id,ts"),
    }
    batch = lake.claim(files, "2025-07-01T00:00:00.000Z")
    report = lake.transform(batch, "--column-names", json.dumps(names))
    assert report["columnNames"] == names
    found = [(row["user_id"], row["track_id"], row["user_country"], row["genres"]) for row in lake.curated()]
    rock = ["indie", "rock"]
    assert found == [
        ("made.up", "spotify:track:6I3mqTwhRpn34SLVafXX01", None, []),
        ("u0", "t0", "Chile", ["pop"]),
        ("u0", "t1", "Chile", rock),
        ("u1", "t1", "Peru", rock),
    ]
    refused = {file["name"]: (file["reason"], file["detail"]) for file in report["filesQuarantined"]}
    assert refused["twice.csv"] == ("duplicate_columns", "more than one column user_id")
    assert refused["none.csv"] == (
        "missing_columns",
        "no column user_id or listener or user or username; the first line is: person, track_id, ts",
    )
    claimed = datetime(2025, 7, 1, tzinfo=timezone.utc)
    for name, content in files.items():
        outcome, listens = oracle.read_stream(str(content).encode(), claimed, names)
        assert outcome.quarantined == refused.get(name, (None,))[0], name
        assert len(listens) == (0 if name in refused else 1)
    # A replay after the setting has gone takes nothing away.
    again = lake.transform(batch, "--column-names", json.dumps({"user_id": ["person"]}))
    assert again["columnNames"]["user_id"] == ["person", "listener", "user", "username"]
    assert (again["rowsKept"], report["rowsKept"]) == (5, 4)


def test_without_other_names_the_report_has_none(changed: tuple[Lake, list[dict[str, Any]]]) -> None:
    _, reports = changed
    assert ["columnNames" in report for report in reports] == [False, False]
