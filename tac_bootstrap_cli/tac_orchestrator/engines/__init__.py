"""The databases that the store can live in. Only the modules in here know a driver."""
