"""The worker process, and what is handed to it."""
