// Makes a batch at the server at argv[2] with the key at argv[3], reads its results and prints what it saw as JSON.
import OpenAI, { toFile } from "openai";

const [url, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });

const texts = { a: "Herring swim in shoals.", b: "naïve café 🐟", c: "hello world" };
const input = Object.entries(texts)
  .map(([custom_id, text]) =>
    JSON.stringify({ custom_id, method: "POST", url: "/v1/embeddings", body: { model, input: text, encoding_format: "base64" } }),
  )
  .join("\n");
const file = await client.files.create({ file: await toFile(Buffer.from(input), "in.jsonl"), purpose: "batch" });
let batch = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/embeddings", completion_window: "24h" });
while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  batch = await client.batches.retrieve(batch.id);
}
const content = await (await client.files.content(batch.output_file_id)).text();
const lines = content.trim().split("\n").map((line) => JSON.parse(line));
const alone = await client.embeddings.create({ model, input: texts.a, encoding_format: "base64" });
const listed = [];
for await (const each of client.batches.list({ limit: 1 })) listed.push(each.id);

console.log(
  JSON.stringify({
    status: batch.status,
    counts: batch.request_counts,
    lines: lines.map(({ custom_id }) => ({ custom_id })),
    same: lines[0].response.body.data[0].embedding === alone.data[0].embedding,
    listed: listed.includes(batch.id),
    deleted: (await client.files.delete(file.id)).deleted,
  }),
);
