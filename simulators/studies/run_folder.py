"""Names of the files in a run folder. Nothing is imported here, so that listing runs is fast."""

STUDY, REPORT, TABLE = "study.yaml", "report.md", "table.csv"
PAGE = "report.html"
CELLS = "cells.json"
FIDELITY_PAGE = "fidelity/fidelity.md"
