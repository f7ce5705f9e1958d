"""S3: payment instruments on accounts."""
