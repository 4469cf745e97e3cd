"""The example in the documentation of each of Shoal's own classes, run as written."""

import pytest
from helper_scripts import run_steps

pytestmark = pytest.mark.timeout(300)  # the first test starts the server, and libraries are slow to import

DATABASES = [
    ("shoal.chroma", "ShoalEmbeddingFunction", "Herring"),
    ("shoal.chroma", "ShoalSparseEmbeddingFunction", "indices"),
    ("shoal.qdrant", "ShoalCollection", "Herring"),
    ("shoal.lancedb", "ShoalEmbeddings", "Herring"),
    ("shoal.lancedb", "ShoalReranker", "Herring"),
    ("shoal.milvus", "ShoalEmbeddingFunction", "Herring"),
    ("shoal.milvus", "ShoalSparseEmbeddingFunction", "{"),
    ("shoal.milvus", "ShoalRerankFunction", "herring"),
    ("shoal.pgvector", "ShoalColumn", "Herring"),
]
LANGCHAIN = [("shoal.langchain", "ShoalEmbeddings", "Herring"), ("shoal.langchain", "ShoalRerank", "herring")]
FRAMEWORKS = [
    ("shoal.llamaindex", "ShoalEmbedding", "Herring"),
    ("shoal.llamaindex", "ShoalRerank", "herring"),
    ("shoal.haystack", "ShoalTextEmbedder", "["),
    ("shoal.haystack", "ShoalDocumentEmbedder", "Herring"),
    ("shoal.haystack", "ShoalRanker", "herring"),
]


@pytest.mark.parametrize(
    ("environment", "examples"),
    [("databases", DATABASES), ("litellm_langchain", LANGCHAIN), ("frameworks", FRAMEWORKS)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_examples_run_as_written(server, tmp_path, request, environment, examples):
    replaced = {"http://127.0.0.1:8080": server.url, '"splade"': '"sparse"'}
    if environment == "databases":
        replaced["dbname=postgres"] = request.getfixturevalue("postgres").url("postgres")
    steps = [("example", {"module": module, "name": name, "replaced": replaced}) for module, name, _ in examples]
    printed = run_steps("examples.py", server.api_key, *steps, environment=environment, folder=tmp_path)
    for (module, name, word), shown in zip(examples, printed, strict=True):
        assert word in shown, f"{module}.{name} printed {shown}"


def test_the_clients_own_example(server, monkeypatch, capsys):
    import shoal.client

    monkeypatch.setenv("SHOAL_API_KEY", server.api_key)
    text = shoal.client.__doc__
    lines = text[text.index("    from shoal") :].splitlines()
    code = "\n".join(line[4:] for line in lines if line.startswith("    "))
    exec(
        compile(
            code.replace("http://127.0.0.1:8080", server.url) + "\nprint(best.index, len(vectors[0]))", "doc", "exec"
        ),
        {},
    )
    assert capsys.readouterr().out == "0 384\n"
