"""Running a plan: chunks are read, sent, answered, accumulated and checkpointed."""
