"""Studies that played no trials: their tables and plots."""
