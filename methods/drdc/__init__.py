"""DRDC: diffusion refinement with dual conditioning (arXiv:2407.01905)."""
