"""Exit status for a container's health check: 0 if ``GET /health`` answers 200.

Uses only the standard library, so that it starts at once; knows nothing of the server but its
port, which it reads from the same variable as the server.
"""

import http.client
import os
import sys


def main() -> int:
    port = int(os.environ.get("THINKING_SERVER_PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/health")
        return int(connection.getresponse().status != http.HTTPStatus.OK)
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
