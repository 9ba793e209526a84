"""The cell space of NAS-Bench-201: its cells, how they are drawn, when one has collapsed."""
