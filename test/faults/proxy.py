"""Starts microburst, with one habit changed: it takes Content-Length off replies, which S3A needs of a HEAD."""

import sys

from microburst import cli, forward

forward.HOP_BY_HOP = frozenset(forward.HOP_BY_HOP - {"content-length"})

if __name__ == "__main__":
    sys.exit(cli.main())
