"""Published accuracies: facts with their origin, and their reader."""
