"""The library of the Glue jobs: the bucket's layout, a batch's documents, and the steps of both jobs."""
