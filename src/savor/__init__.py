"""Savor finds the recipe behind a food photo and the photo behind a recipe."""

__version__ = "0.1.0"
