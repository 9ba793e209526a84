"""Many runs at once, on this machine, on Ray or on Slurm, and what DVC is told of them."""
