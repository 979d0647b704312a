"""One file a noun. A route parses, asks the store once, and answers."""
