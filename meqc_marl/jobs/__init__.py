"""One run as data, and what runs it, here or on a cluster. Import the modules directly: only some need Ray."""
