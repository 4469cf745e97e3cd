"""Stock nginx as a reverse proxy with one worker: the least that anything between client and engine can cost."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import NotMeasurable, children, free_port, running

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream engine {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@contextlib.contextmanager
def proxying(upstream: int, core: int) -> Iterator[tuple[str, int]]:
    """The address of an nginx on one core in front of the loopback port `upstream`, and its worker's process id."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise NotMeasurable("nginx is not installed; it is what the gateway is compared with: apt install nginx-light")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, upstream=upstream, port=port))
        command = [program, "-e", "stderr", "-p", folder, "-c", str(configuration)]
        with running(command, ready=f"http://127.0.0.1:{port}/", core=core) as pid:
            yield f"http://127.0.0.1:{port}", children(pid)[0]
