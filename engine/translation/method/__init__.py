"""Section 4.1 of the paper: how key frames are painted against each other, by any denoiser."""
