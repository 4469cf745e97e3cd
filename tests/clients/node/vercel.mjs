// Vercel's AI SDK, with its providers of OpenAI, of servers like it, and of Cohere.
import { embed, embedMany, rerank } from "ai";
import { createCohere } from "@ai-sdk/cohere";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { answer } from "./asking.mjs";

const openai = (at) => createOpenAI({ baseURL: `${at.url}/v1`, apiKey: at.key });
const compatible = (at) => createOpenAICompatible({ name: "shoal", baseURL: `${at.url}/v1`, apiKey: at.key });
const cohere = (at) => createCohere({ baseURL: `${at.url}/v2`, apiKey: at.key });

function embedder(provider, name, always = {}) {
  return async (at, { model, texts, ...options }) => {
    const asked = { model: provider(at).embeddingModel(model), values: texts };
    const { embeddings, usage } = await embedMany({ ...asked, providerOptions: { [name]: { ...always, ...options } } });
    if (!(usage.tokens > 0)) throw new Error(`no usage: ${usage.tokens}`);
    return embeddings;
  };
}

const asDocument = { inputType: "search_document" };

await answer({
  openai: { embed: embedder(openai, "openai"), shorten: embedder(openai, "openai") },
  "openai-compatible": { embed: embedder(compatible, "shoal"), shorten: embedder(compatible, "shoal") },
  cohere: {
    embed: embedder(cohere, "cohere", asDocument),
    query: async (at, { model, text }) => (await embed({ model: cohere(at).embeddingModel(model), value: text })).embedding,
    too_long: (at, { model, text }) => embedder(cohere, "cohere", { truncate: "NONE" })(at, { model, texts: [text] }),
    rerank: async (at, { model, query, documents, top_n }) => {
      const { ranking } = await rerank({ model: cohere(at).reranking(model), query, documents, topN: top_n });
      return ranking.map((result) => [result.originalIndex, result.score]);
    },
  },
});
