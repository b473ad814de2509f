"""Options: what happens under load, and how long anything may take."""

from pydantic_settings import BaseSettings


class LoadSettings(BaseSettings):
    """Queue, deadlines, and budgets that shrink."""
