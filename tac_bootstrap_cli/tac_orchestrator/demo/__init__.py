"""The demonstration: a workflow of real processes, each of which records what it does, and runs of Claude Code to import."""
