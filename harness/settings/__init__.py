"""params.yaml, as the user wrote it and as typed, validated settings."""
