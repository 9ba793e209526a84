"""The search methods, one file each; a file states only its difference from DARTS."""
