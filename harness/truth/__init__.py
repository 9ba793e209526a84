"""The table of true accuracies, and an importer for each of its sources."""
