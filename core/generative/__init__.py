"""Generative models: diffusion as stochastic differential equations, score matching, Langevin dynamics."""
