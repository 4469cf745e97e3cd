import asyncio
import subprocess
import threading
import time

import pytest

from benchmarks.processes import free_port
from gateway.redis_address import RedisAddress
from gateway.redis_client import RedisAway, RedisClient, RedisRefused

PASSWORD = "correct-horse"


def talk(url, work, timeout=5.0):
    async def with_client():
        client = RedisClient(RedisAddress.parse(url), timeout)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(with_client())


def connections(redis):
    return int(redis.do("INFO", "stats").split(b"total_connections_received:")[1].split()[0])


def test_many_tasks_share_one_connection_and_each_gets_its_own_answer(redis):
    async def work(client):
        before = await asyncio.to_thread(connections, redis)
        answers = await asyncio.gather(*[client.call("ECHO", str(number)) for number in range(1000)])
        assert answers == [str(number).encode() for number in range(1000)]
        assert await asyncio.to_thread(connections, redis) == before + 2  # this one, and the one that asks

    talk(redis.url, work)


def test_a_cancelled_task_takes_no_answer_from_others(redis):
    async def work(client):
        await client.call("PING")
        tasks = [asyncio.create_task(client.call("ECHO", str(number))) for number in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks)
        assert [task.result() for task in tasks[1::2]] == [str(number).encode() for number in range(1, 100, 2)]

    talk(redis.url, work)


def test_an_error_is_of_the_call_that_made_it(redis):
    async def work(client):
        wrong, right = await asyncio.gather(client.call("NONSENSE"), client.call("PING"), return_exceptions=True)
        assert isinstance(wrong, RedisRefused)
        assert wrong.code == "ERR"
        assert right == b"PONG"

    talk(redis.url, work)


def test_a_server_that_hangs_is_away_after_the_timeout(own_redis):
    async def work(client):
        await client.call("PING")
        own_redis.freeze()
        began = time.monotonic()
        outcomes = await asyncio.gather(*[client.call("PING") for _ in range(20)], return_exceptions=True)
        assert all(isinstance(outcome, RedisAway) for outcome in outcomes)
        assert 0.2 <= time.monotonic() - began < 1.0
        own_redis.thaw()
        assert await client.call("PING") == b"PONG"

    talk(own_redis.url, work, timeout=0.2)


def test_a_loop_that_stood_still_does_not_blame_the_server(redis):
    async def work(client):
        await client.call("PING")
        waiting = asyncio.create_task(client.call("PING"))
        await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251 (that is the point)
        assert await waiting == b"PONG"

    talk(redis.url, work, timeout=0.05)


def test_a_connection_that_was_closed_under_its_hands_is_made_again(redis):
    async def work(client):
        await client.call("PING")
        await asyncio.to_thread(redis.do, "CLIENT", "KILL", "TYPE", "normal")
        assert await client.call("PING") == b"PONG"

    talk(redis.url, work)


def test_a_server_that_is_killed_is_away_and_comes_back(own_redis):
    async def work(client):
        await client.call("PING")
        own_redis.kill()
        with pytest.raises(RedisAway, match="away"):
            await client.call("PING")
        own_redis.start()
        assert await client.call("PING") == b"PONG"

    talk(own_redis.url, work)


def test_who_has_no_password_or_a_wrong_one_is_told_so_without_repeating_it(new_redis):
    server = new_redis("--requirepass", PASSWORD)
    at = server.url.removeprefix("redis://")

    async def ping(client):
        return await client.call("PING")

    assert talk(f"redis://:{PASSWORD}@{at}", ping) == b"PONG"
    assert talk(f"redis://default:{PASSWORD}@{at}/2", ping) == b"PONG"
    with pytest.raises(RedisRefused, match="NOAUTH"):
        talk(f"redis://{at}", ping)
    with pytest.raises(RedisAway, match="refuses AUTH with WRONGPASS") as caught:
        talk(f"redis://:hunter2@{at}", ping)
    assert "hunter2" not in str(caught.value)


def test_what_speaks_no_redis_is_away(no_redis):
    async def work(client):
        with pytest.raises(RedisAway):
            await client.call("PING")

    talk(f"redis://127.0.0.1:{no_redis}", work)


@pytest.fixture
def no_redis():

    loop = asyncio.new_event_loop()

    async def answer(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()


def test_a_server_with_tls_is_spoken_to_only_if_its_certificate_is_good(new_redis, tmp_path, monkeypatch):
    certificate, key = tmp_path / "redis.crt", tmp_path / "redis.key"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    words = [*request.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate))
    new_redis("--tls-port", str(port), *files, "--tls-auth-clients", "no")
    url = f"rediss://127.0.0.1:{port}"

    async def ping(client):
        return await client.call("PING")

    with pytest.raises(RedisAway, match="certificate"):
        talk(url, ping)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert talk(url, ping) == b"PONG"
