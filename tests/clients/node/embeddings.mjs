// Asks the server at argv[2] with the key at argv[3] in every shape that the Node SDK can send; prints what came back as JSON.
import OpenAI from "openai";

const [url, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const texts = ["Herring swim in shoals.", "naïve café 🐟"];

const create = (input, options = {}) => client.embeddings.create({ model, input, ...options });
const vectors = (reply) => reply.data.map((item) => Array.from(item.embedding));
const failure = async (call) => {
  try {
    await call();
  } catch (error) {
    return { class: error.constructor.name, status: error.status, code: error.code, requestID: Boolean(error.requestID) };
  }
};

const models = [];
for await (const each of client.models.list()) models.push(each.id);

console.log(
  JSON.stringify({
    base64: vectors(await create(texts)),
    float: vectors(await create(texts, { encoding_format: "float" })),
    text: vectors(await create("hello world")),
    list: vectors(await create(["hello world"])),
    tokens: vectors(await create([[15339, 1917]])),
    usage: (await create(texts)).usage,
    models,
    retrieved: (await client.models.retrieve("sentence-transformers/all-MiniLM-L6-v2")).id,
    unknownModel: await failure(() => client.embeddings.create({ model: "no-such-model", input: "x" })),
    wrongKey: await failure(() =>
      new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 }).embeddings.create({ model, input: "x" }),
    ),
  }),
);
