// LangChain's integration of OpenAI for JavaScript.
import { OpenAIEmbeddings } from "@langchain/openai";
import { answer } from "./asking.mjs";

const client = (at, model, options) =>
  new OpenAIEmbeddings({ model, apiKey: at.key, configuration: { baseURL: `${at.url}/v1` }, ...options });
const embed = (at, { model, texts, ...options }) => client(at, model, options).embedDocuments(texts);

await answer({
  OpenAIEmbeddings: {
    embed,
    shorten: embed,
    query: (at, { model, text }) => client(at, model).embedQuery(text),
  },
});
