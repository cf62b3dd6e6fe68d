"""Test kits for code that extends normcheck."""
