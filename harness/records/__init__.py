"""What a run leaves behind: its record, its checkpoints, where it was computed."""
