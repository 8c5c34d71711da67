"""Files that come, go, or fail while the job runs, and the reference data; bad_input.py has what files may hold."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from typing import Any

import pytest
from pyspark.sql import SparkSession
from transform_support import Lake, csv, zipped

from music_streams import inputs, layout, staging, store
from music_streams.batch import BatchError

GOOD = csv("u0,t0,2024-06-25 10:00:00")


@pytest.fixture
def lake(s3: Any, spark: SparkSession) -> Lake:
    return Lake(s3, spark)


WHOLE = zipped(csv(*[f"u{n},t{n},2024-06-25 10:00:00" for n in range(20_000)]))


def test_a_batch_of_bad_files_alone_succeeds_with_nothing_kept(lake: Lake) -> None:
    report = lake.run({"a.csv": "", "b.csv": "x"})
    assert (report["rowsRead"], report["days"], report["files"]) == (0, [], [])
    assert len(report["filesQuarantined"]) == 2


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


def test_a_file_that_a_finished_attempt_found_changed_is_none_of_the_batch_s_when_it_is_back(lake: Lake) -> None:
    content = csv("u0,t0,2024-06-25 10:00:00")
    batch = lake.claim({"a.csv": content, "b.csv": csv("u1,t1,2024-06-25 10:00:00")})
    lake.s3.delete_object(Bucket=lake.bucket, Key="incoming/a.csv")
    first = lake.transform(batch)
    lake.put("incoming/a.csv", content)
    again = lake.transform(batch)
    for report in (first, again):
        assert report["filesChanged"] == [{"name": "a.csv", "key": "incoming/a.csv"}]
        assert [file["name"] for file in report["files"]] == ["b.csv"]
    assert [row["user_id"] for row in lake.curated()] == ["u1"]


def test_a_replay_whose_file_is_gone_fails_and_takes_nothing_away(lake: Lake) -> None:
    batch = lake.claim({"a.csv": csv("u0,t0,2024-06-25 10:00:00"), "b.csv": csv("u1,t1,2024-06-25 10:00:00")})
    lake.transform(batch)
    before = lake.curated()
    manifest = lake.json("manifest", batch)
    assert manifest is not None
    for file in manifest["files"]:
        file["key"] = f"archive/2024-07-01/{batch}/{file['name']}"
    lake.put(manifest["files"][0]["key"], csv("u0,t0,2024-06-25 10:00:00"))
    lake.put(layout.key("manifest", batchId=batch), json.dumps(manifest))
    with pytest.raises(BatchError, match=r"b\.csv is not in the archive any more.*1 such files.*bucket's versions"):
        lake.transform(batch)
    assert lake.curated() == before


def test_an_overwrite_while_the_job_reads_does_not_slip_in(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrite_then_copy(s3: Any, buckets: tuple[str, str], file: Any, target: str) -> None:
        lake.put("incoming/a.csv", csv("u9,t9,2024-06-25 10:00:00"))
        copy(s3, buckets, file, target)

    batch = lake.claim({"a.csv": GOOD, "b.csv": csv("u1,t1,2024-06-25 10:00:00")})
    copy = store.copy
    monkeypatch.setattr(
        store,
        "copy",
        lambda s3, buckets, file, target: (overwrite_then_copy if file.name == "a.csv" else copy)(
            s3, buckets, file, target
        ),
    )
    report = lake.transform(batch)
    assert [file["name"] for file in report["filesChanged"]] == ["a.csv"]
    assert [row["user_id"] for row in lake.curated()] == ["u1"]


def test_a_gzip_too_large_to_check_beforehand_is_put_aside_when_its_end_turns_out_bad(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "CHECKED_GZIP_BYTES", 100)
    monkeypatch.setattr(inputs, "UNSUSPECTED_BYTES", 1024**2)
    noise = csv(*[f"{os.urandom(20).hex()},t0,2024-06-25 10:00:00" for _ in range(20_000)])
    whole = zipped(noise)
    report = lake.run(
        {
            "a.csv.gz": whole[:-1000],
            "b.csv": GOOD,
            "c.csv.gz": whole[:300_000] + b"\xff" * 1000 + whole[301_000:],
            "d.csv.gz": zipped(csv("u1,t1,2024-06-25 10:00:00")),
            # Spark would take the first line for the header, so it is rewritten.
            "e.csv.gz": zipped("\ufeff\r\n" + noise)[:-1000],
            "f.csv.gz": zipped("\ufeff\r\n" + csv("u2,t1,2024-06-25 10:00:00")),
            "g.csv.gz": zipped(csv(*["u3,t1,2024-06-25 10:00:00"] * 200_000)),
        }
    )
    assert [(bad["name"], bad["reason"]) for bad in report["filesQuarantined"]] == [
        (name, "unreadable") for name in ("a.csv.gz", "c.csv.gz", "e.csv.gz", "g.csv.gz")
    ]
    assert "grows too much" in report["filesQuarantined"][-1]["detail"]
    assert [row["user_id"] for row in lake.curated()] == ["u0", "u1", "u2"]


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
    place = f"s3://{lake.bucket}/reference/{name}/broken.csv"
    with pytest.raises(BatchError, match=f"no usable reference data for {name}: {place}: missing_columns"):
        lake.transform(batch)
    assert lake.json("readingMarker", batch) is None


def test_reference_data_may_lie_in_another_bucket_and_then_alone_there(lake: Lake) -> None:
    elsewhere = f"{lake.bucket}-dimensions"
    location = f"s3://{elsewhere}/music/"
    batch = lake.claim({"a.csv": csv("u0,t0,2024-06-25 10:00:00")})
    with pytest.raises(BatchError, match=f"at s3://{elsewhere}/music/(users|songs)/ can't be listed: .*NoSuchBucket"):
        lake.transform(batch, "--reference-location", location)
    lake.s3.create_bucket(Bucket=elsewhere)

    def put(key: str, content: str) -> None:
        lake.s3.put_object(Bucket=elsewhere, Key=key, Body=content.encode())

    put("music/users/u.csv", "user_id,user_age,user_country\nu0,77,Elsewhere\n")
    with pytest.raises(BatchError, match=f"s3://{elsewhere}/music/songs/ holds no"):
        lake.transform(batch, "--reference-location", location)
    # One is copied as it is, one is written anew from its header on.
    put("music/songs/s.csv", "track_id,track_name,track_genre\nt0,There,folk\n")
    put("music/songs/t.csv", "\ufeff\ntrack_id,track_name,track_genre\nt0,There,jazz\n")
    put("songs/none.csv", "track_id,track_name,track_genre\nt0,Not there,none\n")
    lake.transform(batch, "--reference-location", location)
    (row,) = lake.curated()
    assert (row["track_name"], row["genres"], row["user_age"]) == ("There", ["folk", "jazz"], 77)
    found = lake.s3.list_objects_v2(Bucket=elsewhere)["Contents"]
    assert [entry["Key"] for entry in found] == [
        "music/songs/s.csv",
        "music/songs/t.csv",
        "music/users/u.csv",
        "songs/none.csv",
    ]


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
        """Breaks every other body of each stream file off in its middle."""

        def __init__(self) -> None:
            self.calls: Counter[str] = Counter()

        def __getattr__(self, name: str) -> Any:
            return getattr(lake.s3, name)

        def get_object(self, **arguments: Any) -> Any:
            answer = lake.s3.get_object(**arguments)
            key = arguments["Key"]
            if key.startswith("incoming/"):
                # A file's calls come one after the other, whatever those of others do.
                self.calls[key] += 1
                if self.calls[key] % 2:
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
    assert all(flaky.calls[f"incoming/{name}"] >= 2 for name in files)
    assert (report["rowsKept"], report["filesQuarantined"]) == (8, [])
