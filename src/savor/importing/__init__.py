"""Recipes people own, from pages and recipe applications, into a plain folder and out again."""
