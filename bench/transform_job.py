"""Transform of one batch, as the Glue job does it, but without a ledger: transform_job.py BUCKET BATCH."""

from __future__ import annotations

import sys

import transform
from marks import mark
from music_streams import layout, log, store
from music_streams.session import open_spark


def main(bucket: str, batch_id: str) -> None:
    """Transforms the batch, and marks what its report says."""
    log.start("transform")
    spark = open_spark()
    mark("opened")
    reference = f"s3://{bucket}/{layout.key('reference')}"
    names = ("--ledger-table", "none", "--WORKFLOW_NAME", "bench", "--WORKFLOW_RUN_ID", "wr_bench")
    arguments = transform.arguments(["--bucket", bucket, "--reference-location", reference, *names])
    report = transform.run(arguments, batch_id, store.client("s3"), spark)
    mark("done", kept=report["rowsKept"], duplicates=report["rowsDuplicate"])


if __name__ == "__main__":
    main(*sys.argv[1:])
