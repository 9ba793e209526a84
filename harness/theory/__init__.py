"""What theory says of the relaxation and of its gradients, on small problems with known answers."""
