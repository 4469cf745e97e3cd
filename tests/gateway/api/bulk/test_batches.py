"""Batches by OpenAI's SDK, from the upload to the results."""


def test_results_are_those_of_single_requests_once_and_in_order(gateway_under_test, client, line, start, ended, read):
    lines = [line(f"r{number}", f"text {number} {'word ' * (number % 7)}", user="u") for number in range(600)]
    made = start(client, lines, metadata={"job": "nightly"})
    assert (made.status, made.object, made.metadata, made.errors) == ("validating", "batch", {"job": "nightly"}, None)
    batch = ended(client, made)
    assert (batch.status, batch.model, batch.error_file_id) == ("completed", gateway_under_test.model, None)
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (600, 600, 0)
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at < batch.expires_at
    results = read(client, batch.output_file_id)
    assert [one["custom_id"] for one in results] == [f"r{number}" for number in range(600)]
    assert len({one["id"] for one in results}) == len({one["response"]["request_id"] for one in results}) == 600
    assert batch.usage.total_tokens == sum(one["response"]["body"]["usage"]["total_tokens"] for one in results)
    for number in (0, 41, 599):
        single = client.embeddings.with_raw_response.create(**lines[number]["body"], encoding_format="float")
        assert results[number]["response"]["status_code"] == 200
        assert results[number]["response"]["body"] == single.http_response.json()
        assert results[number]["error"] is None
