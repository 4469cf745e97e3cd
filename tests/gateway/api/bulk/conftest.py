"""Files and batches of the gateway under test, by OpenAI's own SDK."""

import contextlib
import io
import json

import openai
import pytest

DONE = {"completed", "failed", "expired", "cancelled"}


@pytest.fixture
def client_of(gateway_under_test):
    with contextlib.ExitStack() as stack:

        def made(caller):
            client = openai.OpenAI(
                base_url=f"{gateway_under_test.url}/v1", api_key=caller.key, max_retries=0, timeout=20
            )
            return stack.enter_context(client)

        yield made


@pytest.fixture
def client(client_of, caller):
    return client_of(caller)


@pytest.fixture
def line(gateway_under_test):
    """A line of an input."""

    def made(name, texts="x", **body):
        body = {"model": gateway_under_test.model, "input": texts, **body}
        return {"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": body}

    return made


@pytest.fixture
def upload():
    """An uploaded file of these lines."""

    def send(client, lines, **options):
        text = "".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in lines)
        return client.files.create(file=("in.jsonl", io.BytesIO(text.encode())), purpose="batch", **options)

    return send


@pytest.fixture
def start(upload):
    """A batch of these lines."""

    def begin(client, lines, **options):
        return client.batches.create(
            input_file_id=upload(client, lines).id, endpoint="/v1/embeddings", completion_window="24h", **options
        )

    return begin


@pytest.fixture
def ended(gateway_under_test):
    """The batch once it has ended."""

    def wait(client, batch):
        gateway_under_test.wait_until(lambda: client.batches.retrieve(batch.id).status in DONE, 30)
        return client.batches.retrieve(batch.id)

    return wait


@pytest.fixture
def read():
    """The lines of a file, by its id; none where there is no file."""

    def lines(client, file_id):
        return [] if file_id is None else [json.loads(one) for one in client.files.content(file_id).text.splitlines()]

    return lines
