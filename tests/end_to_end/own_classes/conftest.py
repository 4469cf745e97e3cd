"""A server with the starter model and one small random model for every head, and its own word on texts."""

import contextlib

import httpx
import numpy as np
import pytest
from client_scripts import pinned
from database_table import ROWS
from helper_scripts import run_steps
from labelled import MODEL, WORDS


@pytest.fixture(scope="module")
def server(request, of_folder, start_server, tmp_path_factory, head_folders, register_heads):
    @contextlib.contextmanager
    def start():
        with start_server(tmp_path_factory.mktemp("data"), "--default-model", "dense") as server:
            register_heads(server, head_folders)
            yield server

    return of_folder(request, start)


@pytest.fixture(scope="module")
def take_all(server):
    """Take steps of a script, in one new process."""
    return lambda script, *taken: run_steps(script, server.api_key, *taken)


@pytest.fixture(scope="module")
def take(take_all):
    """Take a step of a script, in a process of its own."""
    return lambda script, step, **arguments: take_all(script, (step, arguments))[0]


@pytest.fixture(scope="module")
def of_server(server):
    """The arguments that name the server, and a model."""
    return lambda model=MODEL: {"url": server.url, "model": model}


@pytest.fixture(scope="module")
def gateway(server):
    """The gateway's own word on texts, without any class of Shoal's."""

    def asked(path, **body):
        headers = {"authorization": f"Bearer {server.api_key}"}
        reply = httpx.post(server.url + path, json=body, headers=headers, timeout=60)
        assert reply.status_code == 200, reply.text
        return reply.json()

    return asked


@pytest.fixture(scope="module")
def vectors(gateway):
    def asked(texts, model, input_type=None, output="dense"):
        body = {"model": model, "input": texts, "input_type": input_type, "output_types": [output]}
        key = {"dense": "embedding", "sparse": "sparse_embedding", "multi": "multi_embedding"}[output]
        return [item[key] for item in gateway("/v1/embeddings", **body)["data"]]

    return asked


@pytest.fixture(scope="module")
def ranks(gateway):
    def asked(question, documents, model=MODEL):
        found = gateway("/v1/rerank", model=model, query=question, documents=documents)["results"]
        return [(documents[one["index"]], one["relevance_score"]) for one in found]

    return asked


@pytest.fixture(scope="module")
def works(compatibility):
    """Tell the page that something of a database or framework works; for the end of a test."""

    def tell(row, *columns, how=None):
        outcome = f"works: {how}" if how else "works"
        for column in columns:
            compatibility.tell("databases", row, pinned(*ROWS[row]), column, outcome)

    return tell


@pytest.fixture
def no_key_in(server):
    """Nothing that lies in a folder, or was shown, has the API key."""
    secret = server.api_key.split("-", 3)[3].encode()  # which may have a "-" of its own

    def check(folder, *shown):
        files = [file for file in folder.rglob("*") if file.is_file()]
        assert files
        assert not [file for file in files if secret in file.read_bytes()]
        assert not [one for one in shown if secret.decode() in one]

    return check


@pytest.fixture(scope="module")
def tells_queries_from_documents(take, of_server, vectors):
    """A class gives for documents and for queries what the gateway gives for them."""

    def check(script):
        found = take(script, "vectors", **of_server("dense"), texts=WORDS)
        document, query = (vectors(WORDS, "dense", kind) for kind in ("document", "query"))
        assert not np.allclose(document, query, atol=0.01), "the model makes a difference"
        assert np.allclose(found["document"], document, atol=1e-5)
        assert np.allclose(found["query"], query, atol=1e-5)

    return check
