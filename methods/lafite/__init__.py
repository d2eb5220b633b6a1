"""LafitE: latent diffusion with feature editing (arXiv:2307.08059)."""
