// OpenAI's own client for Node, which trusts base64 blindly.
import OpenAI from "openai";
import { answer } from "./asking.mjs";

async function embed(at, { model, texts, ...options }) {
  const client = new OpenAI({ baseURL: `${at.url}/v1`, apiKey: at.key });
  const reply = await client.embeddings.create({ model, input: texts, ...options });
  return reply.data.map((item) => Array.from(item.embedding));
}

await answer({ embeddings: { embed, shorten: embed, too_long: (at, { model, text }) => embed(at, { model, texts: [text], truncate: false }) } });
