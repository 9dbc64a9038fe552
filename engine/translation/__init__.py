"""Key-frame painters (section 4.1 of the paper)."""
