"""What any program needs: errors in one sentence, whole files, named random streams, processes, progress."""
