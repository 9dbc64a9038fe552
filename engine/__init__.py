"""The method of Inbetween as a library: frames and settings in, frames out."""
