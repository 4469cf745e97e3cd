"""The engine is killed under load: callers get an answer or an error worth retrying, and then it serves again."""

import concurrent.futures
import os
import signal
import threading

import httpx
import numpy as np

BODY = {"model": "all-minilm-l6-v2", "input": ["a few words to embed", "and some more of them"]}


def test_kill_9_under_load_hangs_nobody_and_heals(start_server, tmp_path) -> None:
    with start_server(tmp_path) as server:
        key = server.api_key
        stop = threading.Event()

        def caller() -> list[httpx.Response]:
            replies = []
            while not stop.is_set():
                replies.append(server.embed(key, BODY))
            return replies

        with concurrent.futures.ThreadPoolExecutor(8) as callers:
            running = [callers.submit(caller) for _ in range(8)]
            try:
                first = server.engine_pid()
                server.until(lambda: server.embed(key, BODY).status_code == 200, "load is being served")
                os.kill(first, signal.SIGKILL)
                server.until(lambda: server.engine_pid() not in (first, None), "the engine was started again")
                server.until(lambda: server.embed(key, BODY).status_code == 200, "it serves again")
            finally:
                stop.set()
            replies = [reply for each in running for reply in each.result(timeout=60)]

        statuses = {reply.status_code for reply in replies}
        assert statuses <= {200, 503}, statuses
        for reply in replies:
            if reply.status_code == 503:
                assert int(reply.headers["retry-after"]) >= 1
        served = [[item["embedding"] for item in reply.json()["data"]] for reply in replies if reply.status_code == 200]
        assert np.abs(np.array(served) - np.array(served[0])).max() < 1e-6
