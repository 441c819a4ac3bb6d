"""Events of trainings: emitted from records, kept in an outbox on the disk, delivered to sinks."""
