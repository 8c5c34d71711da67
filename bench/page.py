"""Renders docs/performance.md, with a chart for each case, from the newest results."""

from __future__ import annotations

from pathlib import Path

from bars import bars
from results import RESULTS, ROOT, Figure, Result, newest, read
from targets import Verdict, verdicts

HEAD = """# Performance

What the jobs take on one machine, next to baselines that do the same work.
`npm run bench` measures it and writes this page; don't edit it by hand.
Seconds differ between machines, so targets are ratios between programs of the same run.
Each time is the median of the rounds, from the open session to the end.
The start before that has a column of its own.
All Spark programs have the same Java options, heap and emulator, and run in turn.
The outputs next to baselines are compared in each round: other rows or other metrics end the benchmark.
In all other cases, transform's report must account for every row.
Both engines of publish must write the same items.
The naive baseline keeps repeated listens, so its top genres are compared with a query that does so too.
From its second run on the same files, transform reads its Parquet copy of the reference data.
The baselines parse the reference CSVs each time.
"""

TITLES = {
    "transform": "Transform and its baselines",
    "scaling": "Task slots",
    "memory": "Memory",
    "growth": "A small batch into a growing lake",
    "day-of-batches": "A day of many batches",
    "days": "Many days",
    "publish": "Publish",
    "small-files": "Small files",
    "local-loop": "On a laptop",
    "first-start": "The first start on a machine",
    "lambdas": "Lambdas",
}
# What the tables alone don't say.
NOTES = {
    "memory": "All listens are in one plain file, which Spark reads in pieces of 128 MB, a task each.\n"
    "A file of 2 GB has 16, as Spark counted on the file system: the emulator keeps objects in memory, too much here.",
    "small-files": "For each file, transform makes one request, and archive two: it copies the file and deletes it.",
    "lambdas": "With nothing to do, sense makes two calls (`test/runtime/protocol.test.ts`).",
}
# Why targets are missed, as far as it is known. Read them again when figures change.
REASONS = {
    "transform": "Some 12 s do not depend on the rows: Spark plans, and Java compiles what it runs first.\n"
    "Each further million takes some 5 s on two cores, next to 6 with naive Spark and 7 with plain PySpark.\n"
    "These two keep no text of bad rows, look at no other batch, and don't count what they wrote.",
    "scaling": "Java's compiler and the emulator take part of the second core.\n"
    "With four slots on two cores, twice as many tasks share them and write twice as many files.",
    "growth": "A listener counts once in a day, however many batches have him, and such counts don't add up.\n"
    "So publish aggregates the whole day again: 20 M listens take it some 11 s on two cores.\n"
    "Transform reads the keys of 20 M listens in some 3 s; more workers share that.",
    "days": "Each day is a file of its own, and takes five requests: three to upload it, two to count its rows.\n"
    "So a file takes some 10 ms: Java's work and the emulator's share two cores.",
    "publish": "Top tracks, hours and countries are aggregations of their own over all rows of the day.",
    "local-loop": "A start deploys first.\nIts bucket is empty, so its first batch parses the reference data.\n"
    "A drop comes half a minute after the start; within the first seconds it takes twice as long.",
}
# Shorter stages are left out of the tables.
SHORT_STAGE_SECONDS = 0.1


def page(results: list[Result]) -> str:
    """The page, from all results."""
    shown = newest(results)
    sections = [section(case, shown[case]) + history(case, results) for case in TITLES if case in shown]
    missing = [f"`{case}`" for case in TITLES if case not in shown]
    if missing:
        sections.append(f"## Not measured yet\n\nNo result is kept for {', '.join(missing)}.\n")
    return "\n".join([HEAD, *sections])


def section(case: str, result: Result) -> str:
    """A case: where and when, what is reached, times, and Spark's stages."""
    figures = [figure for figure in result.figures if figure.case == case]
    about = result.machine
    where = f"{about['cores']} cores ({about['cpu']}), {about['memoryGb']} GB, {about['system']}"
    versions = f"Spark {about['spark']}, DuckDB {about['duckdb']}"
    size = " Quick sizes." if result.quick else ""
    lines = [
        f"## {TITLES[case]}",
        "",
        f"Commit {result.commit}, {result.date[:10]}, {where}.",
        f"{versions}; the load of the machine before the run was {about['loadBefore']}.",
        *([size.strip()] if size else []),
        "",
        f"![{TITLES[case]}: seconds]({chart_name(case)})",
        "",
        "| figure | measured | baseline | ratio or value | target, at most | met |",
        "|---|---|---|---:|---:|---|",
    ]
    lines += [judgement(verdict) for verdict in verdicts(case, figures)]
    if case in REASONS and not all(verdict.met for verdict in verdicts(case, figures)):
        lines += ["", f"Why not: {REASONS[case]}"]
    if case in NOTES:
        lines += ["", NOTES[case]]
    lines += [
        "",
        "| task | program | median | rounds | start | peak memory | spilled | requests | written |",
        "|---|---|---:|---|---:|---:|---:|---:|---|",
    ]
    lines += [times(figure) for figure in figures]
    for figure in figures:
        lines += stages(figure)
    return "\n".join(lines) + "\n"


def history(case: str, results: list[Result]) -> str:
    """The first target of the case in every result that is kept. Nothing while there is only one."""
    of_case = [result for result in results if any(figure.case == case for figure in result.figures)]
    rows = []
    for result in sorted(of_case, key=lambda one: one.date):
        for verdict in list(verdicts(case, [figure for figure in result.figures if figure.case == case]))[:1]:
            about = [result.date[:10], result.commit, "quick" if result.quick else "full", str(result.machine["cpu"])]
            values = [verdict.figure, verdict.measured, f"{verdict.value:.2f} {verdict.unit}".strip()]
            rows.append(f"| {' | '.join([*about, *values])} |")
    if len(rows) < 2:
        return ""
    head = "| date | commit | sizes | machine | figure | measured | ratio or value |\n|---|---|---|---|---|---|---:|"
    return "\n".join(["\nBy commit:\n", head, *rows, ""])


def judgement(verdict: Verdict) -> str:
    """A row of the table of targets."""
    value, limit = (f"{number:.2f} {verdict.unit}".strip() for number in (verdict.value, verdict.limit))
    met = "yes" if verdict.met else "no"
    return f"| {verdict.figure} | {verdict.measured} | {verdict.baseline} | {value} | {limit} | {met} |"


def times(figure: Figure) -> str:
    """A row of the table of times."""
    digits = 3 if figure.case == "lambdas" else 1
    rounds = ", ".join(f"{value:.{digits}f}" for value in figure.seconds)
    cells = [
        f"{figure.median:.{digits}f} s",
        rounds,
        f"{max(figure.start_seconds):.1f} s",
        f"{max(figure.peak_mb):,} MB",
    ]
    written = f"{figure.files:,} x Parquet, {figure.output_mb:.1f} MB" if figure.files else ""
    written = f"a package of {figure.output_mb:.2f} MB" if figure.case == "lambdas" else written
    written = f"{figure.items:,} items" if figure.items else written
    cells += [f"{figure.spilled_mb:,} MB", f"{figure.requests:,}", written]
    return f"| {figure.task} | {figure.program} | {' | '.join(cells)} |"


def stages(figure: Figure) -> list[str]:
    """The table of Spark's stages in the last round."""
    shown = [stage for stage in figure.stages if stage["seconds"] >= SHORT_STAGE_SECONDS]
    if not shown:
        return []
    rows = [
        f"| {nth} | {stage['name'].split(' at ')[0]} | {stage['tasks']} | {stage['seconds']:.1f} s "
        f"| {stage['longest']:.1f} s | {100 * stage['seconds'] / figure.seconds[-1]:.0f} % |"
        for nth, stage in enumerate(shown, 1)
    ]
    return [
        "",
        f"Spark's stages of {figure.task} in the last round, without those below {SHORT_STAGE_SECONDS} s:",
        "",
        "| # | stage | tasks | time | longest task | share of the run |",
        "|---:|---|---:|---:|---:|---:|",
        *rows,
    ]


def chart_name(case: str) -> str:
    """The file of a case's chart, beside the page."""
    return f"performance-{case}.svg"


def chart(case: str, result: Result) -> str:
    """The chart of a case."""
    figures = [figure for figure in result.figures if figure.case == case]
    return bars(f"{TITLES[case]}: seconds", [(f"{one.program}: {one.task}", one.median) for one in figures])


def write(results: list[Result], folder: Path) -> None:
    """Writes page and charts."""
    (folder / "performance.md").write_text(page(results), encoding="utf-8")
    for case, result in newest(results).items():
        (folder / chart_name(case)).write_text(chart(case, result), encoding="utf-8")


if __name__ == "__main__":
    write([read(file) for file in sorted(RESULTS.glob("*.json"))], ROOT / "docs")
