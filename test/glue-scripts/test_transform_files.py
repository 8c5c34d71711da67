"""Which files are read, which are put aside with what reason, and that no name loses a file."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import zipfile
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import HEADER, Lake, csv, zipped

from music_streams import inputs, staging, store
from music_streams.batch import BatchError

GOOD = csv("u0,t0,2024-06-25 10:00:00")


@pytest.fixture
def lake(s3: Any, spark: SparkSession) -> Lake:
    return Lake(s3, spark)


def zip_file() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.csv", GOOD)
    return target.getvalue()


WHOLE = zipped(csv(*[f"u{n},t{n},2024-06-25 10:00:00" for n in range(20_000)]))
FLIPPED = WHOLE[:-4000] + bytes([WHOLE[-4000] ^ 0xFF]) + WHOLE[-3999:]
NOT_TABLES: dict[str, tuple[str, str | bytes]] = {
    "empty.csv": ("empty_file", ""),
    "empty.csv.gz": ("empty_file", ""),
    "gzip of nothing.csv.gz": ("empty_file", zipped("")),
    "blank.csv": ("empty_file", "\n\r\n  \n"),
    "blank and long.csv": ("empty_file", "\n" * 200_000),
    "bom.csv": ("empty_file", "\ufeff"),
    "bom and newline.csv": ("empty_file", "\ufeff\r\n"),
    "utf-16-le.csv": ("not_text", GOOD.encode("utf-16")),
    "utf-16-be.csv": ("not_text", b"\xfe\xff" + GOOD.encode("utf-16-be")),
    "utf-16 without bom.csv": ("not_text", GOOD.encode("utf-16-le")),
    "utf-32.csv": ("not_text", GOOD.encode("utf-32")),
    "zip.csv": ("not_text", zip_file()),
    "parquet.csv": ("not_text", b"PAR1\x15\x04\x15 rest PAR1"),
    "bzip2.csv": ("not_text", bz2.compress(GOOD.encode())),
    "gzip in gzip.csv.gz": ("not_text", gzip.compress(zipped(GOOD))),
    "nul late.csv": ("not_text", csv(*["u0,t0,2024-06-25 10:00:00"] * 5000, "u\0,t0,2024-06-25 10:00:00")),
    "no header.csv": ("missing_columns", "u0,t0,2024-06-25 10:00:00\nu1,t1,2024-06-25 10:00:00\n"),
    "page.csv": ("missing_columns", "<!DOCTYPE html>\n<html><body>503</body></html>\n"),
    "json.csv": ("missing_columns", '{"user_id": 1, "track_id": 2, "listen_time": 3}\n'),
    "semicolons.csv": ("missing_columns", GOOD.replace(",", ";")),
    "tabs.csv": ("missing_columns", GOOD.replace(",", "\t")),
    "two columns.csv": ("missing_columns", "user_id,track_id\nu0,t0\n"),
    "other names.csv": ("missing_columns", "userid,track id,listentime\n1,2,3\n"),
    "spaces first.csv": ("missing_columns", f"   \n{GOOD}"),
    "twice.csv": ("duplicate_columns", "user_id,track_id,listen_time,USER_ID \nu0,t0,2024-06-25 10:00:00,u1\n"),
    "cut.csv.gz": ("unreadable", WHOLE[:-30]),
    "cut in the trailer.csv.gz": ("unreadable", WHOLE[:-3]),
    "two bytes.csv.gz": ("unreadable", WHOLE[:2]),
    "flipped.csv.gz": ("unreadable", FLIPPED),
    "rubbish after.csv.gz": ("unreadable", WHOLE + b"rubbish"),
    "second member cut.csv.gz": ("unreadable", WHOLE + WHOLE[:-20]),
    "open quote.csv": (
        "unreadable",
        csv("u0,t0,2024-06-25 10:00:00", 'u1,"t1,2024-06-25 10:00:00', "u2,t2,2024-06-25 10:00:00"),
    ),
    "open quote at the end.csv": ("unreadable", csv("u0,t0,2024-06-25 10:00:00") + 'u1,t1,"'),
    "open quote behind doubled ones.csv": ("unreadable", csv('u0,t0,"2024 ""x"" ""')),
    "open quote in crlf.csv": (
        "unreadable",
        csv("u0,t0,2024-06-25 10:00:00", '"u1,t1,2024-06-25 10:00:00', "u2,t2,x").replace("\n", "\r\n"),
    ),
    "open header.csv": ("unreadable", 'user_id,track_id,"listen_time\nu0,t0,2024-06-25 10:00:00\n'),
}


def test_a_file_without_a_readable_table_is_put_aside_with_its_reason_and_the_others_are_read(lake: Lake) -> None:
    assert FLIPPED != WHOLE
    files = {
        **{name: content for name, (_, content) in NOT_TABLES.items()},
        "good.csv": GOOD,
        "z good.csv.gz": zipped(csv("u1,t1,2024-06-25 10:00:00")),
    }
    report = lake.run(files)
    assert {bad["name"]: bad["reason"] for bad in report["filesQuarantined"]} == {
        name: reason for name, (reason, _) in NOT_TABLES.items()
    }
    assert all(bad["key"] == f"incoming/{bad['name']}" and bad["detail"] for bad in report["filesQuarantined"])
    assert [(file["name"], file["rowsKept"]) for file in report["files"]] == [("good.csv", 1), ("z good.csv.gz", 1)]
    assert lake.rejected() == []
    assert len(lake.curated()) == 2


def test_a_batch_of_bad_files_alone_succeeds_with_nothing_kept(lake: Lake) -> None:
    report = lake.run({"a.csv": "", "b.csv": "x"})
    assert (report["rowsRead"], report["days"], report["files"]) == (0, [], [])
    assert len(report["filesQuarantined"]) == 2


def test_gzip_is_known_by_its_content_and_headers_by_their_names(lake: Lake) -> None:
    def one(user: str) -> str:
        return csv(f"{user},t0,2024-06-25 10:00:00")

    files: dict[str, str | bytes] = {
        "gzip by another name.csv": zipped(one("a")),
        "plain by another name.csv.gz": one("b"),
        "UPPER.CSV.GZ": zipped(one("c")),
        "members.csv.gz": zipped(HEADER + "\n") + zipped("") + zipped("d,t0,2024-06-25 10:00:00\n"),
        "cut between members.csv.gz": zipped(HEADER + "\ne,t0,2024-06-") + zipped("25 10:00:00\n"),
        "bom.csv": "\ufeff" + one("f"),
        "bom quoted.csv": '\ufeff"user_id","track_id","listen_time"\ng,t0,2024-06-25 10:00:00',
        "bom in gzip.csv.gz": zipped("\ufeff" + one("h")),
        "shuffled.csv": "LISTEN_TIME, Track_Id ,x,\tuser_ID\n2024-06-25 10:00:00,t0,,i\n",
        "newline in a name.csv": 'user_id,"a ""long""\r\nname",track_id,listen_time\nj,,t0,2024-06-25 10:00:00\n',
        "long header.csv": f'user_id,"{"x" * 300_000}",track_id,listen_time\nk,,t0,2024-06-25 10:00:00\n',
        "long header.csv.gz": zipped(f'user_id,"{"x" * 300_000}",track_id,listen_time\nl,,t0,2024-06-25 10:00:00\n'),
        "blank lines first.csv": "\n\n" + one("m"),
        "blank crlf lines first.csv": "\r\n\r\n" + one("n").replace("\n", "\r\n"),
        "bom and blank lines first.csv": "\ufeff\n\r\n" + one("o"),
        "many blank lines first.csv": "\n" * 100_000 + one("p"),
        "header only.csv": HEADER,
        "header only.csv.gz": zipped(HEADER + "\r\n"),
        "extra twice.csv": f"x,x,{HEADER},\n1,2,q,t0,2024-06-25 10:00:00,\n",
    }
    report = lake.run(files)
    assert report["filesQuarantined"] == []
    assert "".join(row["user_id"] for row in lake.curated()) == "abcdefghijklmnopq"
    assert report["rowsRead"] == 17
    assert [file["rowsRead"] for file in report["files"] if "header only" in file["name"]] == [0, 0]


ODD_NAMES = [
    "plain.csv",
    "sp ace.csv",
    "a+b.csv",
    "100%.csv",
    "a%20b.csv",
    "a b.csv",
    "quote'.csv",
    'double".csv',
    "[x].csv",
    "{a,b}.csv",
    "*.csv",
    "?.csv",
    "_x.csv",
    ".x.csv",
    "_dir/.hidden/x.csv",
    "a//b.csv",
    "/lead.csv",
    "../up.csv",
    "a/./b.csv",
    "a/../b.csv",
    "back\\slash.csv",
    "e\u0301.csv",
    "\u00e9.csv",
    "日本語.csv",
    "🎵.csv",
    "new\nline.csv",
    "tab\t.csv",
    "a&b=c;d,e#f.csv",
    "a:b@c!$~^`|<>.csv",
    "k" * 880 + ".csv",
    "trailing .csv",
    "UPPER.CSV",
    "dup.csv",
    "dup.csv.gz",
    "part-00000.csv",
    "000000.csv",
]


def test_no_name_loses_a_file(lake: Lake) -> None:
    files: dict[str, str | bytes] = {
        name: csv(f"u{n},t0,2024-06-25 10:00:00", "bad row") for n, name in enumerate(ODD_NAMES)
    }
    files["dup.csv.gz"] = zipped(str(files["dup.csv.gz"]))
    report = lake.run(files)
    assert {file["name"]: (file["rowsRead"], file["rowsKept"]) for file in report["files"]} == dict.fromkeys(
        ODD_NAMES, (2, 1)
    )
    assert sorted(row["user_id"] for row in lake.curated()) == sorted(f"u{n}" for n in range(len(ODD_NAMES)))
    assert lake.rejected() == sorted((name, "malformed_row", "bad row") for name in ODD_NAMES)


def test_over_a_thousand_small_files_are_one_quick_batch(lake: Lake) -> None:
    count = 1200
    names = [f"{n % 7}/{n}.csv" for n in range(count)]
    store.in_parallel(
        lambda n: lake.put(
            f"incoming/{names[n]}", csv(f"u{n},t0,2024-06-25 10:00:00", f"-u{n},t0,2024-06-25 10:00:00")
        ),
        range(count),
    )
    report = lake.transform(lake.claim())
    assert (len(report["files"]), report["rowsRead"], report["rowsKept"], report["rowsQuarantined"]) == (
        count,
        2 * count,
        count,
        {"bad_id": count},
    )
    assert len(lake.keys("curated/")) == 1


def test_a_file_overwritten_or_gone_since_the_claim_is_not_read(lake: Lake) -> None:
    batch = lake.claim({"a.csv": GOOD, "b.csv": GOOD, "c.csv": csv("u1,t1,2024-06-25 10:00:00"), "d.csv": ""})
    lake.put("incoming/a.csv", csv("u9,t9,2024-06-25 10:00:00"))
    lake.put("incoming/d.csv", GOOD)
    lake.s3.delete_object(Bucket=lake.bucket, Key="incoming/b.csv")
    report = lake.transform(batch)
    assert report["filesChanged"] == [{"name": name, "key": f"incoming/{name}"} for name in ("a.csv", "b.csv", "d.csv")]
    assert [row["user_id"] for row in lake.curated()] == ["u1"]
    assert [file["name"] for file in report["files"]] == ["c.csv"]


def test_an_overwrite_while_the_job_reads_does_not_slip_in(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrite_then_copy(s3: Any, bucket: str, file: Any, target: str) -> None:
        lake.put("incoming/a.csv", csv("u9,t9,2024-06-25 10:00:00"))
        copy(s3, bucket, file, target)

    batch = lake.claim({"a.csv": GOOD, "b.csv": csv("u1,t1,2024-06-25 10:00:00")})
    copy = store.copy
    monkeypatch.setattr(
        store,
        "copy",
        lambda s3, bucket, file, target: (overwrite_then_copy if file.name == "a.csv" else copy)(
            s3, bucket, file, target
        ),
    )
    report = lake.transform(batch)
    assert [file["name"] for file in report["filesChanged"]] == ["a.csv"]
    assert [row["user_id"] for row in lake.curated()] == ["u1"]


def test_a_gzip_too_large_to_check_beforehand_is_put_aside_when_spark_fails_on_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "CHECKED_GZIP_BYTES", 100)
    noise = csv(*[f"{os.urandom(20).hex()},t0,2024-06-25 10:00:00" for _ in range(20_000)])
    whole = zipped(noise)
    report = lake.run(
        {
            "a.csv.gz": whole[:-1000],
            "b.csv": GOOD,
            "c.csv.gz": whole[:300_000] + b"\xff" * 1000 + whole[301_000:],
            "d.csv.gz": zipped(csv("u1,t1,2024-06-25 10:00:00")),
        }
    )
    assert [(bad["name"], bad["reason"]) for bad in report["filesQuarantined"]] == [
        ("a.csv.gz", "unreadable"),
        ("c.csv.gz", "unreadable"),
    ]
    assert [row["user_id"] for row in lake.curated()] == ["u0", "u1"]


def test_a_failure_that_is_not_the_file_s_own_fails_the_job(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_copies(*arguments: Any) -> staging.Staging:
        staged = stage(*arguments)
        for table in staged.tables:
            if table.table.file.name == "a.csv":
                lake.put(table.folder + "000009.csv.gz", WHOLE[:-50])
        return staged

    import transform

    stage = staging.stage
    monkeypatch.setattr(transform, "stage", lose_copies)
    with pytest.raises(Exception, match=r"000009\.csv\.gz"):
        lake.transform(lake.claim({"a.csv": GOOD}))
    assert lake.keys("temporary/") == []
    assert lake.keys("curated/") == []


@pytest.mark.parametrize("name", ["users", "songs"])
def test_a_missing_reference_data_set_fails_the_job_before_it_says_that_it_reads(lake: Lake, name: str) -> None:
    lake.s3.delete_object(Bucket=lake.bucket, Key=f"reference/{name}/{name}.csv")
    lake.put(f"reference/{name}/", "")
    lake.put(f"reference/{name}/notes.txt", "x")
    batch = lake.claim({"a.csv": GOOD})
    with pytest.raises(BatchError, match=f"reference/{name}/ holds no"):
        lake.transform(batch)
    assert lake.json("readingMarker", batch) is None
    lake.put(f"reference/{name}/broken.csv", "not,the,columns\n1,2,3\n")
    with pytest.raises(BatchError, match=f"no usable reference data for {name}: .*missing_columns"):
        lake.transform(batch)
    assert lake.json("readingMarker", batch) is None


def test_reference_data_is_read_from_odd_files_and_its_bad_rows_are_counted(lake: Lake) -> None:
    lake.s3.delete_object(Bucket=lake.bucket, Key="reference/songs/songs.csv")
    lake.s3.delete_object(Bucket=lake.bucket, Key="reference/users/users.csv")
    lake.put(
        "reference/songs/_a [x]//1.csv",
        '\ufeffTRACK_GENRE,"Track_Id",track_name,Artists,duration_ms,popularity,album_name\r\n'
        'zouk,t0,"Z, ""first""\nfile",Z,1,1,\r\ntoo,few\r\nrock,,no id,x,1,1,x\r\n',
    )
    lake.put(
        "reference/songs/b.csv.gz",
        zipped(
            "track_id,track_genre,track_name,artists,duration_ms,popularity,album_name\nt0,pop,Second,B,abc,12.5,Al\nt0,pop,Third,C,3,3,Al\nt0,,None,D,4,4,Al\n"
        ),
    )
    lake.put("reference/songs/c.csv", "track_id,name\nt0,x\n")
    lake.put("reference/songs/d.csv", "track_id,track_genre\nt1,Ärger\nt1,Zebra\nt1,apple\nt1,apple\n")
    lake.put("reference/songs/e.csv", 'track_id,track_genre\nt2,pop\nt3,"open\n')
    lake.put("reference/users/ .csv", "user_id,user_age,user_country\nu0, 41 ,\nu0,9,Second\nu1,old,Ö\nu1\n")
    report = lake.run(
        {"a.csv": csv("u0,t0,2024-06-25 10:00:00", "u1,t1,2024-06-25 10:00:00", "u2,t2,2024-06-25 10:00:00")}
    )
    assert report["referenceRowsSkipped"] == {"users": 1, "songs": 2}
    assert [(bad["key"], bad["reason"]) for bad in report["referenceFilesSkipped"]] == [
        ("reference/songs/c.csv", "missing_columns"),
        ("reference/songs/e.csv", "unreadable"),
    ]
    first, second, third = lake.curated()
    # The first row by genre is the one without.
    assert [first[name] for name in ("track_name", "artists", "duration_ms", "genres", "user_age", "user_country")] == [
        "None",
        "D",
        4,
        ["pop", "zouk"],
        41,
        None,
    ]
    assert [second[name] for name in ("track_name", "duration_ms", "genres", "user_age", "user_country")] == [
        None,
        None,
        ["Zebra", "apple", "Ärger"],
        None,
        "Ö",
    ]
    assert [third[name] for name in ("track_name", "genres", "user_age", "user_country")] == [None, [], None, None]
    assert (report["unknownTracks"], report["unknownUsers"]) == (1, 1)


@pytest.mark.parametrize("head_bytes", [20, 65536])
def test_a_connection_that_breaks_is_not_the_file_s_fault(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, head_bytes: int
) -> None:
    class Flaky:
        """Breaks every third body off in its middle."""

        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(lake.s3, name)

        def get_object(self, **arguments: Any) -> Any:
            answer = lake.s3.get_object(**arguments)
            self.calls += 1
            if self.calls % 3 == 0:
                answer["Body"] = Broken(answer["Body"].read())
            return answer

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 0 or size is None or size < 0:
                raise ConnectionResetError("reset")
            return super().read(min(size, 10))

    monkeypatch.setattr(inputs, "HEAD_BYTES", head_bytes)
    flaky = Flaky()
    files = {f"{n}.csv.gz": zipped(csv(f"u{n},t0,2024-06-25 10:00:00")) for n in range(8)}
    report = lake.transform(lake.claim(dict(files)), s3=flaky)
    assert flaky.calls >= 10
    assert (report["rowsKept"], report["filesQuarantined"]) == (8, [])
