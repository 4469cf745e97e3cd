"""Runs small models on one device. Knows token ids, batches and memory; knows no tenant, no quota and no OpenAI."""
