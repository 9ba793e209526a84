"""What every variant shares: the space, the networks, the search, the truth and the records."""
