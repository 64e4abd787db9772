"""Verbs that read what is on disk: runs, traces, the reply cache, prompts, data sets."""
