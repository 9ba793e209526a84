"""Published boards: the tables of a finished board in a small folder that outlives its runs."""
