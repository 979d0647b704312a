"""The store over HTTP: its rows as JSON, what happens as it happens, and the page that shows both."""
