"""Studies: agents, refined data, trainings, comparison, report."""
