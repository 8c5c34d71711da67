"""What the Glue jobs of music-streams share: the bucket's layout, a batch's documents, and the transform's steps."""
