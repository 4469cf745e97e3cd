"""Why a command can not go on, as one sentence for the person who typed it."""


class StartFailure(Exception):
    """Printed as it is, without a traceback; the command exits with status 1."""
