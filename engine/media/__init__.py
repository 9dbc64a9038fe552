"""Clips, movies, pictures and colour spaces on disk."""
