import pytest
from fake_upstream import KEY, FakeUpstream

HERE = ("--allow-upstream", "127.0.0.0/8")


@pytest.fixture(scope="module")
def server():
    made = FakeUpstream().start()
    yield made
    made.stop()


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return str(path)


@pytest.fixture
def shoal(run, data_dir):
    """Type a command on the data folder, however it ends."""
    return lambda *words: run(*words, *(() if "--data-dir" in words else ("--data-dir", str(data_dir))))


def add(shoal, *arguments):
    done = shoal("upstream", "add", *arguments)
    return done.code, done.err


def test_one_is_looked_at_then_registered_and_listed_without_its_key(shoal, server, key_file):
    code, err = add(shoal, server.url, "--pool", "texts", "--key-file", key_file, *HERE)
    assert (code, "chat, mini, rank" in err) == (0, True)
    (listed,) = shoal("upstream", "list", "--json").json
    assert (listed["pool"], listed["kind"], listed["has_key"]) == ("texts", "openai", True)
    assert listed["base_url"] == server.url + "/v1"


def test_what_is_not_right_is_said_and_not_registered_unless_it_is_not_to_be_looked_at(shoal, server, key_file):
    assert "loopback" in add(shoal, server.url, "--pool", "p", "--key-file", key_file)[1]
    assert "does not accept the credential" in add(shoal, server.url, "--pool", "p", *HERE)[1]
    assert "can not be reached" in add(shoal, "http://127.0.0.1:1", "--pool", "p", *HERE)[1]
    assert shoal("upstream", "list", "--json").json == []
    assert add(shoal, "http://127.0.0.1:1", "--pool", "p", "--no-check")[0] == 0
    assert [row["base_url"] for row in shoal("upstream", "list", "--json").json] == ["http://127.0.0.1:1/v1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("ftp://h", "--pool", "p"), ("http://u:p@h", "--pool", "p"), ("http://h", "--pool", "default"),
        ("http://h", "--pool", "gpu", "--node", "gpu=http://n:1"), ("http://h", "--pool", "p", "--kind", "grpc"),
        ("http://h",), ("http://h", "--pool", "p", "--key-file", "/nowhere"), ("http://h", "--pool", "p", "--key", KEY),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused(shoal, arguments):
    code, err = add(shoal, *arguments, "--no-check")
    assert code != 0
    assert err
    assert shoal("upstream", "list", "--json").json == []


def test_keys_are_set_and_encrypted_anew_and_upstreams_removed(shoal, server, key_file, tmp_path):
    add(shoal, server.url, "--pool", "texts", "--no-check")
    (made,) = shoal("upstream", "list", "--json").json
    assert shoal("upstream", "set-key", made["id"]).code != 0
    assert shoal("upstream", "set-key", made["id"], "--key-file", key_file).code == 0
    secret = tmp_path / "secret"
    secret.write_text("a new secret of more than 32 characters")
    assert "with the new secret key: 1." in shoal("upstream", "rekey", "--new-secret-key-file", str(secret)).out
    again = shoal("upstream", "rekey", "--new-secret-key-file", str(secret))
    assert (again.code, "another secret key" in again.err) == (1, True)
    assert shoal("upstream", "set-key", made["id"], "--none").code == 0
    assert shoal("upstream", "remove", made["id"]).code == 0
    assert shoal("upstream", "remove", made["id"]).code == 1
    assert shoal("upstream", "list", "--json").json == []


def test_one_is_moved_and_its_key_stays_at_its_host(shoal, server, key_file):
    add(shoal, server.url, "--pool", "texts", "--no-check", "--key-file", key_file)
    (made,) = shoal("upstream", "list", "--json").json
    assert shoal("upstream", "set", made["id"], "--pool", "default").code == 1
    assert shoal("upstream", "set", made["id"], "--kind", "grpc").code != 0
    elsewhere = shoal("upstream", "set", made["id"], "--url", "https://evil.example")
    assert (elsewhere.code, "Its key was given for" in elsewhere.err) == (1, True)
    moved = shoal("upstream", "set", made["id"], "--url", server.url + "/tei", "--kind", "tei", "--pool", "others")
    assert moved.out == f"Upstream {made['id']} is {server.url}/tei, a node of the pool 'others'.\n"
    (now,) = shoal("upstream", "list", "--json").json
    assert (now["pool"], now["kind"], now["has_key"]) == ("others", "tei", True)


def test_a_model_of_an_upstream_is_registered_by_its_name_there(shoal, server, key_file):
    add(shoal, server.url, "--pool", "texts", "--no-check")
    assert shoal("model", "add", "writer", "--pool", "texts", "--source", "gpt-x:latest").code == 0
    (model,) = shoal("model", "list", "--json").json
    assert (model["id"], model["source"], model["pool"]) == ("writer", "gpt-x:latest", "texts")
    assert shoal("model", "add", "other", "--pool", "texts", "--dtype", "float16").code != 0


def test_a_database_elsewhere_needs_the_secret_key_of_its_gateways(shoal, tmp_path, key_file):
    url = f"sqlite+aiosqlite:///{tmp_path / 'elsewhere.db'}"
    arguments = ("http://h", "--pool", "p", "--key-file", key_file, "--no-check", "--database-url", url)
    done = shoal("upstream", "add", *arguments, "--data-dir", str(tmp_path / "nothing-here"))
    assert done.code != 0
    assert "--secret-key" in done.err
    assert not (tmp_path / "nothing-here").exists()
