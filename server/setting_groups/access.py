"""Options: who may use the server, and how much of it."""

from pydantic_settings import BaseSettings


class AccessSettings(BaseSettings):
    """Keys and quotas."""
