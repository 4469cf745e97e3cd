"""PostgreSQL with pgvector."""

import asyncio

import psycopg
from steps import steps

from shoal.pgvector import ShoalColumn


def add(address, url, model, facts, table="facts", **options):
    column = ShoalColumn(model, url, **options)
    with psycopg.connect(address) as connection:
        column.register(connection)
        connection.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, text text, label text)")
        connection.execute(column.add_to(table))
        texts = [text for text, _ in facts]
        rows = [(*fact, vector) for fact, vector in zip(facts, column.documents(texts), strict=True)]
        command = f"INSERT INTO {table} (text, label, {column.name}) VALUES (%s, %s, %s)"
        connection.cursor().executemany(command, rows)
        connection.execute(column.index_on(table))
        (kind,) = connection.execute(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
            [table, column.name],
        ).fetchone()
    return {"type": kind, "repr": repr(column)}


def find(address, url, model, questions, table="facts", limit=3, **options):
    column = ShoalColumn(model, url, **options)
    with psycopg.connect(address) as connection:
        column.register(connection)
        connection.execute("SET enable_seqscan = off")
        found = [
            connection.execute(*column.nearest(table, question, columns=["label", "text"], limit=limit)).fetchall()
            for question in questions
        ]
    return [[list(row) for row in rows] for rows in found]


def find_async(address, url, model, questions, table="facts", limit=3, **options):
    column = ShoalColumn(model, url, **options)

    async def one(connection, question):
        value = await column.aquery(question)
        rows = await connection.execute(*column.nearest_to(value, table, columns=["label", "text"], limit=limit))
        return [list(row) for row in await rows.fetchall()]

    async def main():
        async with await psycopg.AsyncConnection.connect(address) as connection:
            await column.aregister(connection)
            return [await one(connection, question) for question in questions]

    return asyncio.run(main())


def hostile(address, url, model, name):
    """Names with quotes in them are names."""
    column = ShoalColumn(model, url, name=name, dimensions=384)
    with psycopg.connect(address) as connection:
        return [statement.as_string(connection) for statement in (column.add_to(name), column.index_on(name))]


steps(add, find, find_async, hostile)
