"""What all tests share: Hypothesis without deadlines, since a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("thinking-server", deadline=None)
settings.load_profile("thinking-server")
