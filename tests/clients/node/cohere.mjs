// Cohere's own client for Node, in both of its versions.
import { CohereClient, CohereClientV2 } from "cohere-ai";
import { answer } from "./asking.mjs";

const first = (at) => new CohereClient({ token: at.key, environment: at.url });
const second = (at) => new CohereClientV2({ token: at.key, environment: at.url });
const ranked = (reply) => reply.results.map((result) => [result.index, result.relevanceScore]);

async function embedFirst(at, { model, texts, kind = "search_document" }) {
  return (await first(at).embed({ model, texts, inputType: kind })).embeddings;
}

async function embedSecond(at, { model, texts, kind = "search_document", dimensions, truncate }) {
  const asked = { model, texts, inputType: kind, embeddingTypes: ["float"] };
  if (dimensions) asked.outputDimension = dimensions;
  if (truncate) asked.truncate = truncate;
  return (await second(at).embed(asked)).embeddings.float;
}

await answer({
  CohereClient: {
    embed: embedFirst,
    query: async (at, { model, text }) => (await embedFirst(at, { model, texts: [text], kind: "search_query" }))[0],
    rerank: async (at, { model, query, documents, top_n }) =>
      ranked(await first(at).rerank({ model, query, documents, topN: top_n, returnDocuments: true })),
  },
  CohereClientV2: {
    embed: embedSecond,
    shorten: embedSecond,
    query: async (at, { model, text }) => (await embedSecond(at, { model, texts: [text], kind: "search_query" }))[0],
    too_long: (at, { model, text }) => embedSecond(at, { model, texts: [text], truncate: "NONE" }),
    rerank: async (at, { model, query, documents, top_n }) =>
      ranked(await second(at).rerank({ model, query, documents, topN: top_n })),
  },
});
