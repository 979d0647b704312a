"""One module for each way in which frameworks describe what their agents do."""
