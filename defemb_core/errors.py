"""What defemb raises for a user's mistake: one sentence with what is wrong, which value, and the way out."""


class DefembError(Exception):
    """Root of all errors that a user can put right; the app and the command line show the message alone.

    Attributes:
        code: what the command line exits with.

    Example:
        >>> try:
        ...     de.Settings("magic")
        ... except de.DefembError as error:
        ...     print(str(error).partition(";")[0])
        unknown method 'magic'
    """

    code = 2


class PLMError(DefembError):
    """A pretrained language model cannot be found, read or used."""


class DictionaryError(DefembError):
    """A dictionary cannot be found or read."""


class SettingsError(DefembError):
    """A setting is outside its range, or two settings contradict each other."""


class RunError(DefembError):
    """A run's directory is missing, incomplete, or already in use."""


class TrainingError(DefembError):
    """A training cannot go on."""


class EvaluationError(DefembError):
    """What an evaluation needs cannot be found, read or compared."""


class NoMemoryError(DefembError):
    """The machine, or its accelerator, has too little memory."""


class ProcessError(DefembError):
    """Work that several processes share has ended in one of them.

    Attributes:
        code: what they exit with: 1 unless it was the user's mistake.
        lost: whether they cannot reach each other any more, so that each speaks for itself.
    """

    def __init__(self, message: str, code: int = 1, lost: bool = False) -> None:
        super().__init__(message)
        self.code, self.lost = code, lost


class ExportError(DefembError):
    """An export cannot be written where, or as, the user asked."""


class TableError(DefembError):
    """A table's file cannot be read, or does not fit the vocabulary."""


def first_line(exc: Exception) -> str:
    """Return the first line of a foreign error's message, its kind if it has none: what one sentence has room for."""
    return str(exc).strip().splitlines()[0][:160] if str(exc).strip() else type(exc).__name__


def is_out_of_memory(exc: BaseException) -> bool:
    """Return whether an error says that memory does not suffice.

    numpy raises a MemoryError, torch an OutOfMemoryError of its own on an accelerator, and on a CPU a RuntimeError that
    only its message tells apart.
    """
    told = ("not enough memory", "can't allocate memory", "out of memory")
    return (
        isinstance(exc, MemoryError)
        or type(exc).__name__ == "OutOfMemoryError"
        or (isinstance(exc, RuntimeError) and any(words in str(exc).lower() for words in told))
    )
