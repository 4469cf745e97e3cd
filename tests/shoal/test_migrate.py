def test_a_fresh_folder_gets_a_database_and_the_commands_work(run, tmp_path) -> None:
    folder = str(tmp_path / "new")
    for _ in range(2):
        done = run("migrate", "--data-dir", folder)
        assert (done.code, done.out) == (0, f"The database {folder}/shoal.db is ready.\n")
    assert run("tenant", "create", "acme", "--data-dir", folder).code == 0


def test_a_command_before_it_says_what_to_do_and_makes_nothing(run, tmp_path) -> None:
    done = run("tenant", "list", "--data-dir", str(tmp_path))
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: There is no database at {tmp_path}/shoal.db yet; run: shoal migrate.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_can_not_be_used_is_said_without_its_password(run) -> None:
    done = run("migrate", "--database-url", "postgresql://shoal:hunter2secret@127.0.0.1:1/shoal")
    assert done.code == 1
    assert done.err.startswith("Error: The database postgresql://shoal:***@127.0.0.1:1/shoal can not be reached: ")
    assert "hunter2secret" not in done.err
    assert len(done.err.splitlines()) == 1
