"""`dartsboard`, with a head that concludes sooner from Slurm's queue: its folder and its jobs are on one machine.

python -m tests.clusters.head sweep --engine slurm
"""

from harness.cli import run
from harness.fleet.engines.slurm_queues import SlurmQueue

LISTING_SECONDS = 2.0
PATIENCE_SECONDS = 10.0

if __name__ == "__main__":
    SlurmQueue.listing_seconds, SlurmQueue.patience = LISTING_SECONDS, PATIENCE_SECONDS
    run()
