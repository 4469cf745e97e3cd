"""Whether the program in this container answers: status 0 if so. For HEALTHCHECK; Kubernetes asks by itself."""

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

SECONDS = 4.0


def answers(port: int, *, tls: bool) -> bool:
    """Whether /health/live at `port` of this machine is a 200."""
    connection: HTTPConnection
    if tls:  # by a name that is not ours to know
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=anyone)
    else:
        connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except ssl.SSLError:  # it wants a certificate of us
        return True
    except (OSError, HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(not answers(int(os.environ["SHOAL_PORT"]), tls="SHOAL_TLS_CERT" in os.environ))
