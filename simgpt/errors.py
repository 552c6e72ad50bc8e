"""The one error that users are meant to read."""


class SimgptError(Exception):
    """Bad input or a bad environment, told in one sentence.

    The sentence names the file, line or setting at fault and says what is legal. The command line
    prints it to stderr without a traceback and exits with `exit_status`.
    """

    exit_status = 1
