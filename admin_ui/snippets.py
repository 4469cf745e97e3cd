"""How to call the API with a key: code that runs as it stands. Pure; the texts hold the key, so they are shown once.

Addresses are those that each client wants: OpenAI's SDKs with /v1, Weaviate without (it appends /v1/embeddings).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from admin_ui.contexts.keys import Snippet

Task = Literal["embed", "rerank", "classify", "extract", "models"]
SCOPES: dict[Task, str] = {
    "embed": "embeddings",
    "rerank": "rerank",
    "classify": "classify",
    "extract": "extract",
    "models": "models",
}
"""What a key must be allowed for each."""
OPENAI = frozenset({"model", "input", "dimensions"})
"""What its SDK for Python takes by name."""
ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]*)?"
)


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be shown: a route of the API with a body that its model understands."""

    task: Task
    path: str
    body: dict[str, object] | None


def gateway_address(said: str) -> str:
    """Where clients find the gateway, without a slash at the end; an example's where what is said is no address."""
    return said.rstrip("/") if ADDRESS.fullmatch(said.rstrip("/")) else "http://localhost:8080"


def call_for(task: Task, model: str) -> Call:
    """An example for a model that can do this."""
    text = "Small fish swim in shoals."
    bodies: dict[Task, dict[str, object] | None] = {
        "embed": {"model": model, "input": [text]},
        "rerank": {"model": model, "query": "Who swims in shoals?", "documents": [text, "Cats sleep all day."]},
        "classify": {"model": model, "input": [text]},
        "extract": {"model": model, "input": ["Ada Lovelace lived in London."], "labels": ["person", "place"]},
        "models": None,
    }
    path = {"embed": "/v1/embeddings", "models": "/v1/models"}.get(task, f"/v1/{task}")
    return Call(task, path, bodies[task])


def snippets(url: str, key: str, task: Task, model: str) -> Sequence[Snippet]:
    """The examples; `url` is the gateway's own address, without /v1."""
    call = call_for(task, model)
    if task != "embed":
        return (
            Snippet("curl", "curl", _curl(url, key, call)),
            Snippet("python", "Python", _httpx(url, key, call)),
            Snippet("node", "Node", _fetch(url, key, call)),
        )
    said = {"URL": url, "KEY": key, "MODEL": model}
    texts = {
        "python": ("Python", PYTHON),
        "node": ("Node", NODE),
        "chroma": ("Chroma", CHROMA),
        "qdrant": ("Qdrant", QDRANT),
        "weaviate": ("Weaviate", WEAVIATE),
    }
    filled = (Snippet(id_, label, _filled(text, said)) for id_, (label, text) in texts.items())
    return (Snippet("curl", "curl", _curl(url, key, call)), *filled)


def request_snippets(url: str, call: Call) -> Sequence[Snippet]:
    """One request as it is, with the key left to the environment."""
    body = call.body or {}
    if call.task == "embed":
        python, node = _openai_python(url, body), _openai_node(url, body)
    else:
        python = _httpx(url, "", call).replace('"Bearer "', "f\"Bearer {os.environ['SHOAL_API_KEY']}\"", 1)
        python = python.replace("import httpx\n", "import os\n\nimport httpx\n", 1)
        node = _fetch(url, "", call).replace('"Bearer "', "`Bearer ${process.env.SHOAL_API_KEY}`", 1)
    return (
        Snippet("curl", "curl", _curl(url, "$SHOAL_API_KEY", call)),
        Snippet("python", "Python", python),
        Snippet("node", "Node", node),
    )


def _openai_python(url: str, body: Mapping[str, object]) -> str:
    own = {name: value for name, value in body.items() if name in OPENAI}
    ours = {name: value for name, value in body.items() if name not in OPENAI}
    lines = [f"    {name}={value!r}," for name, value in own.items()]
    lines += [f"    extra_body={ours!r},"] if ours else []
    said = "\n".join(lines)
    return (
        f"# pip install openai\nimport os\n\nfrom openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{url}/v1", api_key=os.environ["SHOAL_API_KEY"])\n'
        f"answer = client.embeddings.create(\n{said}\n)\nprint(answer.data[0].embedding)"
    )


def _openai_node(url: str, body: Mapping[str, object]) -> str:
    return (
        f'// npm install openai\nimport OpenAI from "openai";\n\n'
        f'const client = new OpenAI({{ baseURL: "{url}/v1", apiKey: process.env.SHOAL_API_KEY }});\n'
        f"const answer = await client.embeddings.create({json.dumps(body, ensure_ascii=False)});\n"
        "console.log(answer.data[0].embedding);"
    )


def _filled(text: str, said: dict[str, str]) -> str:
    for name, value in said.items():
        text = text.replace(f"<{name}>", value)
    return text.strip()


def _curl(url: str, key: str, call: Call) -> str:
    lines = [f"curl {url}{call.path}", f'-H "Authorization: Bearer {key}"']
    if call.body is not None:
        lines += ['-H "Content-Type: application/json"', "-d " + _quoted(json.dumps(call.body, ensure_ascii=False))]
    return " \\\n  ".join(lines)


def _quoted(text: str) -> str:
    """In single quotes for a shell, whatever stands in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def _httpx(url: str, key: str, call: Call) -> str:
    method, body = ("get", "") if call.body is None else ("post", f"\n    json={call.body!r},")
    return (
        f'# pip install httpx\nimport httpx\n\nanswer = httpx.{method}(\n    "{url}{call.path}",\n'
        f'    headers={{"Authorization": "Bearer {key}"}},{body}\n)\nprint(answer.json())'
    )


def _fetch(url: str, key: str, call: Call) -> str:
    body = "" if call.body is None else f"  body: JSON.stringify({json.dumps(call.body, ensure_ascii=False)}),\n"
    method = "GET" if call.body is None else "POST"
    return (
        f'const answer = await fetch("{url}{call.path}", {{\n  method: "{method}",\n'
        f'  headers: {{ Authorization: "Bearer {key}", "Content-Type": "application/json" }},\n{body}}});\n'
        "console.log(await answer.json());"
    )


PYTHON = """
# pip install openai
from openai import OpenAI

client = OpenAI(base_url="<URL>/v1", api_key="<KEY>")
answer = client.embeddings.create(model="<MODEL>", input=["Small fish swim in shoals."])
print(len(answer.data[0].embedding), answer.usage.total_tokens)
"""

NODE = """
// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "<URL>/v1", apiKey: "<KEY>" });
const answer = await client.embeddings.create({ model: "<MODEL>", input: ["Small fish swim in shoals."] });
console.log(answer.data[0].embedding.length, answer.usage.total_tokens);
"""

CHROMA = """
# pip install chromadb openai
import os

import chromadb
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

os.environ["OPENAI_API_KEY"] = "<KEY>"  # Chroma reads keys from the environment, and stores none
embed = OpenAIEmbeddingFunction(
    model_name="<MODEL>", api_base="<URL>/v1", api_key_env_var="OPENAI_API_KEY"
)
collection = chromadb.Client().get_or_create_collection("shoal", embedding_function=embed)
collection.add(ids=["1", "2"], documents=["Small fish swim in shoals.", "Cats sleep all day."])
print(collection.query(query_texts=["Who swims?"], n_results=1)["documents"])
"""

QDRANT = """
# pip install qdrant-client openai
from openai import OpenAI
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

shoal = OpenAI(base_url="<URL>/v1", api_key="<KEY>")

def embed(texts):
    return [item.embedding for item in shoal.embeddings.create(model="<MODEL>", input=texts).data]

texts = ["Small fish swim in shoals.", "Cats sleep all day."]
vectors = embed(texts)
qdrant = QdrantClient(":memory:")  # or url="http://localhost:6333"
qdrant.create_collection("shoal", vectors_config=VectorParams(size=len(vectors[0]), distance=Distance.COSINE))
points = [PointStruct(id=i, vector=v, payload={"text": t}) for i, (t, v) in enumerate(zip(texts, vectors))]
qdrant.upsert("shoal", points)
print(qdrant.query_points("shoal", query=embed(["Who swims?"])[0], limit=1).points[0].payload)
"""

WEAVIATE = """
# pip install weaviate-client; Weaviate itself must reach <URL>
import weaviate
from weaviate.classes.config import Configure, DataType, Property

with weaviate.connect_to_local(headers={"X-OpenAI-Api-Key": "<KEY>"}) as client:
    notes = client.collections.create(
        "Notes",
        properties=[Property(name="text", data_type=DataType.TEXT)],
        vector_config=Configure.Vectors.text2vec_openai(base_url="<URL>", model="<MODEL>"),
    )
    notes.data.insert({"text": "Small fish swim in shoals."})
    print(notes.query.near_text("Who swims?", limit=1).objects[0].properties)
"""
