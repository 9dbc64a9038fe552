"""The key-frame panel: a window on a session of the render server."""
