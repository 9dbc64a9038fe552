"""Stable Diffusion 1.5, as diffusers has it, as a denoiser."""
