"""What the figures should reach: ratios to a baseline of the same run, because seconds differ between machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from results import Figure

# Transform's time over a baseline's, at most.
BASELINES = {"naive Spark": 0.8, "plain PySpark": 0.5, "DuckDB": 5.5}
TWO_SLOTS = 1 / 1.5
# No loss, but for noise.
SAME = 1.1
LARGE_DAY = 1.5
LARGE_DAY_PUBLISHED = 3.0
SMALL_FILES = 2.0
LONGEST_LONE_TASK_SECONDS = 2.0
# Above this, rewriting a day into few files would pay.
DAY_OF_BATCHES = 1.5
# Top tracks, hours and countries of a day, next to the rest of publish.
LATER_ITEMS = 1.15
MANY_DAYS = 4_500
MANY_DAYS_SECONDS = 60.0
PACKAGE_MB = 1.0
LOAD_SECONDS = 0.5
LOCAL_SECONDS = {"npm start": 14.0, "drop --wait": 6.0, "first npm start": 90.0}


@dataclass(frozen=True)
class Verdict:
    """A figure next to its baseline. `value` is compared with `limit`: a ratio, seconds or megabytes."""

    figure: str
    measured: str
    baseline: str
    value: float
    unit: str
    limit: float

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.limit


def verdicts(case: str, figures: list[Figure]) -> Iterator[Verdict]:
    """Yields what the case's figures reach."""
    ours = [figure for figure in figures if figure.program == "transform"]
    if case == "transform":
        for figure in ours:
            for other in figures:
                if other.task == figure.task and other.program in BASELINES:
                    yield _ratio(figure, other, other.program, BASELINES[other.program])
    elif case == "scaling":
        one, two, *more = ours
        yield _ratio(two, one, one.task, TWO_SLOTS)
        yield from (_ratio(four, two, two.task, SAME) for four in more)
        yield _lone_task(two)
    elif case == "memory":
        yield from (
            Verdict(f"{figure.task}: spilled", f"{figure.spilled_mb} MB", "none", figure.spilled_mb, "MB", 0)
            for figure in ours
        )
    elif case == "growth":
        published = [figure for figure in figures if figure.program == "publish"]
        for program, kind, limit in (
            (ours, "into a day", LARGE_DAY),
            (ours, "into a lake", SAME),
            (published, "into a day", LARGE_DAY_PUBLISHED),
            (published, "into a lake", SAME),
        ):
            first, *others = (figure for figure in program if figure.task.startswith(kind))
            yield from (_ratio(other, first, first.task, limit) for other in others)
    elif case == "day-of-batches":
        for name in ("transform", "publish"):
            one, many = (figure for figure in figures if figure.program == name)
            yield _ratio(many, one, one.task, DAY_OF_BATCHES)
    elif case == "publish":
        whole, *others = figures
        yield from (_ratio(whole, one, one.program, LATER_ITEMS) for one in others if "earlier" in one.program)
    elif case == "days":
        for figure in ours:
            # A file for each day. Fewer days get less time.
            limit = MANY_DAYS_SECONDS * figure.files / MANY_DAYS
            yield Verdict(figure.task, _seconds(figure.median), "none", figure.median, "s", limit)
    elif case in ("local-loop", "first-start"):
        for figure in figures:
            what = f"{figure.program}, {figure.task}"
            yield Verdict(what, _seconds(figure.median), "none", figure.median, "s", LOCAL_SECONDS[figure.program])
    elif case == "lambdas":
        for figure in figures:
            size = f"{figure.output_mb:.2f} MB"
            yield Verdict(f"{figure.program}: package", size, "none", figure.output_mb, "MB", PACKAGE_MB)
            took = f"{figure.median:.3f} s"
            yield Verdict(f"{figure.program}: loading the code", took, "none", figure.median, "s", LOAD_SECONDS)
    elif case == "small-files":
        # One file first, then many of the same rows.
        for one, many in zip(ours[::2], ours[1::2]):
            yield _ratio(many, one, one.task, SMALL_FILES)


def _ratio(figure: Figure, baseline: Figure, name: str, limit: float) -> Verdict:
    described = f"{name}: {_seconds(baseline.median)}"
    return Verdict(
        f"{figure.program}, {figure.task}",
        _seconds(figure.median),
        described,
        figure.median / baseline.median,
        "",
        limit,
    )


def _lone_task(figure: Figure) -> Verdict:
    lone = [stage["seconds"] for stage in figure.stages if stage["tasks"] == 1]
    longest = max(lone, default=0.0)
    what = f"{figure.task}: longest stage of one task"
    return Verdict(what, _seconds(longest), "none", longest, "s", LONGEST_LONE_TASK_SECONDS)


def _seconds(value: float) -> str:
    return f"{value:.1f} s"
