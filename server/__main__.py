"""``python -m server``: the same as ``thinking-server``."""

from server import cli

if __name__ == "__main__":
    # multiprocessing imports the main module in each child, but not one that is called __main__;
    # named so, children are watched from their beginning (``server.process.parent_watch``).
    __spec__ = cli.__spec__
    cli.main()
