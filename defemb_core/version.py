"""The version of defemb, written into every run; pyproject.toml reads it from here."""

VERSION = "0.1.0"
