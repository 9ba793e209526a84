"""What things cost: one command each, a page each in results/."""
