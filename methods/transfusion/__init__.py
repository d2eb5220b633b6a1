"""TransFusion: transparency-based diffusion (arXiv:2311.09999)."""
