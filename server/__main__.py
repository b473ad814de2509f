"""``python -m server``, equivalent to ``thinking-server``."""

from server import cli

if __name__ == "__main__":
    # multiprocessing imports the main module in each child unless it is named __main__. With this
    # spec, each child imports server.cli, which starts the parent watch from the very beginning
    # (``server.process.parent_watch``).
    __spec__ = cli.__spec__
    cli.main()
