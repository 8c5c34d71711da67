"""Turns rows of text into listens: checks each row, keeps each listen once, adds reference data."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, timezone

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

COLUMNS = ("user_id", "track_id", "listen_time")
LISTEN_KEY = ["user_id", "track_id", "listen_time"]
# The order in which a task writes its placed rows: by day, track, time and user. So the same rows give the same files,
# and a track's rows stand together.
ORDER = ["day_and_track", "listen_time", "user_id"]

ANY_ID = "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
ID = rf"\A{ANY_ID}\z"
# A run of an id's characters. A forgotten listener's id in a bad row counts only as a whole run.
ID_RUN = "[A-Za-z0-9._:-]+"
# The reason of a row that is left out because its listener is forgotten. It comes before all others.
FORGOTTEN = "forgotten"
# Unicode's white space, and four separators that only Python counts as white space.
BLANK = r"(?U)\A[\s\x1c-\x1f]*\z"
EARLIEST = datetime(2000, 1, 1, tzinfo=timezone.utc)
LATEST_AFTER_CLAIM = timedelta(days=1)

PLAIN_TIME = "(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
# What Spark's cast reads exactly, in UTC.
EXACT_TIME = rf"{PLAIN_TIME}(?:\.[0-9]{{1,6}})?Z?"
# Of a row without quotes: how its columns look when it is a good one.
PLAIN_COLUMNS = {"user_id": ANY_ID, "track_id": ANY_ID, "listen_time": EXACT_TIME}
OFFSET = r"[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?"
# Behind Z or an offset may stand the zone's name, as Java ("[Europe/Paris]") and Go (" CET") write it. The offset
# counts, the name is not read.
ZONE_NAME = r"(?:\[[A-Za-z][A-Za-z0-9_+/-]*\]| [A-Z]{3,5})"
ZONE = rf"(?: ?(UTC|GMT|Z|{OFFSET})(?:(?<=[Z0-9]){ZONE_NAME})?)?"
ISO_TIME = (
    r"\A((?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2})[ T]((?:[01][0-9]|2[0-3]):[0-5][0-9])"
    r"(?::([0-5][0-9])(?:[.,]([0-9]{1,9}))?)?" + ZONE + r"\z"
)
BASIC_TIME = r"\A[0-9]{8}T[0-9]{4}(?:[0-9]{2}(?:[.,][0-9]{1,9})?)?" + ZONE + r"\z"


def checked(rows: DataFrame, claimed_at: datetime, forgotten: Collection[str]) -> DataFrame:
    """Adds `reason` (the first rule that a row breaks, null for a listen), and listen_time as a timestamp.

    Needs file, raw, problem, inexact, width_ok and the three columns as text. Only rows with a reason keep `raw`.
    `forgotten`: listeners whose rows get this reason, and an empty `raw`. So do other bad rows that name one of them.
    """
    ids = rows.withColumn("instant", instant("listen_time"))
    reason = (
        F.when(~F.col("width_ok"), "malformed_row")
        .when(F.rlike("user_id", F.lit(BLANK)), "missing_user_id")
        .when(F.rlike("track_id", F.lit(BLANK)), "missing_track_id")
        .when(~(F.rlike("user_id", F.lit(ID)) & F.rlike("track_id", F.lit(ID))), "bad_id")
        .when(F.col("instant").isNull(), "bad_listen_time")
        .when(~in_range("instant", claimed_at), "out_of_range_listen_time")
    )
    judged = ids.select("file", "problem", "inexact", "user_id", "track_id", "instant", "raw", reason.alias("reason"))
    good = F.col("reason").isNull()
    if forgotten:
        leave_out = is_forgotten(forgotten) | (~good & _names_forgotten(forgotten))
        judged = judged.withColumns(
            {
                "reason": F.when(leave_out, FORGOTTEN).otherwise(F.col("reason")),
                "raw": F.when(leave_out, "").otherwise(F.col("raw")),
            }
        )
    return judged.select(
        "file",
        "problem",
        "inexact",
        "reason",
        F.when(~good, F.col("raw")).alias("raw"),
        F.when(good, F.col("user_id")).alias("user_id"),
        F.when(good, F.col("track_id")).alias("track_id"),
        F.when(good, F.col("instant")).alias("listen_time"),
    )


def is_forgotten(ids: Collection[str]) -> Column:
    """Whether `user_id` is one of these, at least one. Null where there is no user_id."""
    return F.expr(f"user_id IN ({_literals(ids)})")


def _names_forgotten(ids: Collection[str]) -> Column:
    return F.expr(f"exists(regexp_extract_all(raw, '{ID_RUN}', 0), token -> token IN ({_literals(ids)}))")


def _literals(ids: Collection[str]) -> str:
    # One text, because a call of Spark for each of thousands of ids takes seconds. An id needs no escapes.
    return ", ".join(f"'{one}'" for one in sorted(ids))


def in_range(column: str, claimed_at: datetime) -> Column:
    """Whether a time may be a listen's: from the year 2000 to a day after the claim."""
    return F.col(column).between(_literal(EARLIEST), _literal(claimed_at + LATEST_AFTER_CLAIM))


def instant(column: str) -> Column:
    """Parses a time to UTC and microseconds. Null when the text is no time.

    Accepts `yyyy-MM-dd HH:mm:ss`, and ISO 8601 (extended or basic format) with a time of day. A space may stand before
    the zone, and UTC or GMT for it. No zone means UTC.
    """
    text = F.col(column)
    basic = F.regexp_replace(
        text, r"\A([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})?", r"$1-$2-$3T$4:$5:$6"
    )
    # A text without seconds has a colon too many now.
    extended = F.regexp_replace(basic, r"\A([0-9-]{10}T[0-9]{2}:[0-9]{2}):(?![0-9])", "$1")
    return (
        F.when(F.rlike(text, F.lit(rf"\A{PLAIN_TIME}\z")), text.try_cast("timestamp"))
        .when(F.rlike(text, F.lit(ISO_TIME)), _iso_instant(text))
        .when(F.rlike(text, F.lit(BASIC_TIME)) & F.rlike(extended, F.lit(ISO_TIME)), _iso_instant(extended))
    )


def _iso_instant(text: Column) -> Column:
    def part(group: int) -> Column:
        return F.regexp_extract(text, ISO_TIME, group)

    second = F.when(part(3) == "", F.lit("00")).otherwise(part(3))
    local = F.concat(part(1), F.lit(" "), part(2), F.lit(":"), second).try_cast("timestamp")
    microseconds = F.rpad(part(4), 6, "0").substr(1, 6).cast("bigint")
    zone = F.rpad(F.regexp_replace(part(5), "[A-Z:]", ""), 5, "0")
    minutes = zone.substr(2, 2).cast("bigint") * 60 + zone.substr(4, 2).cast("bigint")
    ahead = F.when(F.startswith(zone, F.lit("-")), -minutes).otherwise(minutes)
    # By arithmetic: Spark's zones end at 18 hours, and times beyond years 0001 and 9999 must not raise.
    return F.timestamp_micros(F.unix_micros(local) + microseconds - ahead * 60_000_000)


def distinct_listens(rows: DataFrame) -> DataFrame:
    """Returns each listen once: part, listen_date, the key, its first file, and its number of copies.

    Rows are placed: those of one listen have the same `part`. The listens of a task are returned in ORDER.
    """
    # Producers resend a file when an upload times out, so the same listen comes twice, often in another batch.
    # The rows must be sorted anyway, and copies then stand together: there is no hash table to fill. Spark drops the
    # second sort then.
    key = [*ORDER, "part", "listen_date", "track_id"]
    once = rows.sortWithinPartitions(*key, "file").groupBy(*key)
    return in_order(once.agg(F.first("file").alias("file"), F.count("*").alias("copies")))


def in_order(placed: DataFrame) -> DataFrame:
    """Sorts the rows of each task as they are written, and drops the column that only serves this."""
    return placed.sortWithinPartitions(*ORDER).drop("day_and_track")


def marked(listens: DataFrame, known: DataFrame) -> DataFrame:
    """Adds `elsewhere`: whether another batch has the listen. `known` has other batches' rows of the same days.

    The listens fit into every worker's memory, so both sides stay where they are: the cost is one look at each key.
    """
    keys = known.join(F.broadcast(listens), LISTEN_KEY, "left_semi").select(*LISTEN_KEY).distinct()
    found = F.broadcast(keys.withColumn("elsewhere", F.lit(True)))
    return listens.join(found, LISTEN_KEY, "left").withColumn("elsewhere", F.col("elsewhere").isNotNull())


def marked_by_shuffle(listens: DataFrame, known: DataFrame) -> DataFrame:
    """Adds `elsewhere` to any number of listens. Their rows change tasks."""
    # As cheap as an anti-join, but the duplicates stay and can be counted.
    same = " AND ".join(f"known.{name} = listens.{name}" for name in LISTEN_KEY)
    return listens.sparkSession.sql(
        f"SELECT *, EXISTS (SELECT 1 FROM {{known}} AS known WHERE {same}) AS elsewhere FROM {{listens}} AS listens",  # noqa: S608
        known=known.select(*LISTEN_KEY),
        listens=listens,
    )


def enriched(listens: DataFrame, tracks: DataFrame, users: DataFrame) -> DataFrame:
    """Returns curated rows with `known_track` and `known_user`. Small tables leave rows in their task, and in order.

    `tracks` has one row per track, `users` one per user.
    """
    joined = listens.join(tracks, on="track_id", how="left").join(users, on="user_id", how="left")
    return joined.select(
        "listen_date",
        "user_id",
        "track_id",
        "listen_time",
        "track_name",
        "artists",
        "album_name",
        "popularity",
        "duration_ms",
        F.coalesce("genres", F.array().cast("array<string>")).alias("genres"),
        "user_country",
        "user_age",
        F.coalesce("known_track", F.lit(False)).alias("known_track"),
        F.coalesce("known_user", F.lit(False)).alias("known_user"),
    )


def unknown_counts() -> list[Column]:
    """Returns the counts of rows without reference data: tracks, users."""
    return [F.count_if(~F.col(f"known_{one}")).alias(f"{one}s") for one in ("track", "user")]


def _literal(moment: datetime) -> Column:
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return F.timestamp_micros(
        F.lit((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds).cast("bigint")
    )
