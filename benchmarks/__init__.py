"""Measures of speed, memory and picture, each a table for people and JSON for programs."""
