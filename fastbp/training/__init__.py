"""The work behind `Trainer`: the epoch loop, runs of the engine, penalties, the last good state."""
