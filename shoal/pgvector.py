"""PostgreSQL with pgvector, by psycopg: a column's type, its values, an index and a search.

Needs `pip install 'shoal-server[pgvector]'`.
"""

from collections.abc import Sequence
from typing import Any, Literal

from pgvector import HalfVector, SparseVector, Vector
from pgvector.psycopg import register_vector, register_vector_async
from psycopg import AsyncConnection, Connection, sql

from shoal.client.calls import Output
from shoal.client.embedder import Embedder
from shoal.client.results import Embeddings
from shoal.client.settings import DEFAULT_URL, ClientSettings

Kind = Literal["vector", "halfvec", "sparsevec"]
Metric = Literal["cosine", "l2", "ip", "l1"]
OPERATORS: dict[Metric, str] = {"cosine": "<=>", "l2": "<->", "ip": "<#>", "l1": "<+>"}


class ShoalColumn:
    """A column of vectors of a model, and what is needed to fill and search it.

    `kind` is the column's type: `vector`, `halfvec` (two bytes a number), or `sparsevec` for a sparse model, whose
    vocabulary's size is then `dimensions`. Options are those of `ClientSettings`.

        import psycopg
        from shoal.pgvector import ShoalColumn

        column = ShoalColumn("all-minilm-l6-v2", "http://127.0.0.1:8080")
        texts = ["Herring swim in shoals.", "Hens live in coops."]
        with psycopg.connect("dbname=postgres") as connection:
            column.register(connection)
            connection.execute("CREATE TEMPORARY TABLE facts (text text)")
            connection.execute(column.add_to("facts"))
            rows = list(zip(texts, column.documents(texts), strict=True))
            connection.cursor().executemany("INSERT INTO facts (text, embedding) VALUES (%s, %s)", rows)
            print(connection.execute(*column.nearest("facts", "fish", columns=["text"], limit=1)).fetchall())
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        *,
        name: str = "embedding",
        kind: Kind = "vector",
        metric: Metric = "cosine",
        dimensions: int | None = None,
        **options: Any,
    ) -> None:
        self.name, self.kind, self.metric = name, kind, metric
        self._output: Output = "sparse" if kind == "sparsevec" else "dense"
        cut = None if kind == "sparsevec" else dimensions
        self._embedder = Embedder(model, ClientSettings(url=url, **options), dimensions=cut)
        self._width = dimensions

    def __repr__(self) -> str:
        return f"ShoalColumn({self.name!r}, {self.kind!r}, {self._embedder!r})"

    @staticmethod
    def register(connection: Connection[Any]) -> None:
        """Have this connection read and write vectors; pgvector is added to the database where it is missing."""
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)

    @staticmethod
    async def aregister(connection: AsyncConnection[Any]) -> None:
        """`register`, with await."""
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        await register_vector_async(connection)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        if self._width is None:
            self._width = self._embedder.width()
        return self._width

    @property
    def type(self) -> sql.Composable:
        """The column's type, such as `vector(384)`."""
        return sql.SQL("{}({})").format(sql.SQL(self.kind), sql.Literal(self.width))

    def add_to(self, table: str) -> sql.Composed:
        """The statement that adds the column to a table."""
        command = "ALTER TABLE {} ADD COLUMN {} {}"
        return sql.SQL(command).format(sql.Identifier(table), sql.Identifier(self.name), self.type)

    def index_on(self, table: str) -> sql.Composed:
        """The statement that makes an HNSW index for this column's metric."""
        command = "CREATE INDEX ON {} USING hnsw ({} {})"
        operators = sql.SQL(f"{self.kind}_{self.metric}_ops")  # both are of a few known words
        return sql.SQL(command).format(sql.Identifier(table), sql.Identifier(self.name), operators)

    def documents(self, texts: Sequence[str]) -> list[Any]:
        """Values of the column for texts that are searched."""
        return self._values(self._embedder.embed(texts, "document", [self._output]))

    async def adocuments(self, texts: Sequence[str]) -> list[Any]:
        """`documents`, with await."""
        return self._values(await self._embedder.aembed(texts, "document", [self._output]))

    def query(self, text: str) -> Any:
        """The value that stands for a text that searches."""
        return self._values(self._embedder.embed([text], "query", [self._output]))[0]

    async def aquery(self, text: str) -> Any:
        """`query`, with await."""
        return self._values(await self._embedder.aembed([text], "query", [self._output]))[0]

    def nearest(
        self, table: str, text: str, *, columns: Sequence[str], limit: int = 10
    ) -> tuple[sql.Composed, dict[str, Any]]:
        """A search and its parameters, as `execute` takes them: the rows nearest to a text, their `distance` last."""
        return self.nearest_to(self.query(text), table, columns=columns, limit=limit)

    def nearest_to(
        self, value: Any, table: str, *, columns: Sequence[str], limit: int = 10
    ) -> tuple[sql.Composed, dict[str, Any]]:
        """`nearest`, to what `query` or `aquery` gave."""
        command = "SELECT {}, {} {} %(value)s AS distance FROM {} ORDER BY distance LIMIT %(limit)s"
        named = sql.SQL(", ").join(map(sql.Identifier, columns))
        operator = sql.SQL(OPERATORS[self.metric])
        composed = sql.SQL(command).format(named, sql.Identifier(self.name), operator, sql.Identifier(table))
        return composed, {"value": value, "limit": limit}

    def _values(self, found: Embeddings) -> list[Any]:
        if self.kind == "sparsevec":
            named = [dict(zip(one.indices, one.values, strict=True)) for one in found.sparse]
            return [SparseVector(one, self.width) for one in named]
        return [(Vector if self.kind == "vector" else HalfVector)(one) for one in found.dense]
