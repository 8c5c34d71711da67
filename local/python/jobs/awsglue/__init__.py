"""The part of AWS's library `awsglue` that the local Glue has."""
