"""What lies on a volume, and how it is read: in a folder of this machine, or over S3 without a worker."""
