"""What the look-up stage leaves in results/: what its tables hold, and reading them."""
