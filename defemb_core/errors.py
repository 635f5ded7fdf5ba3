"""What defemb raises for a user's mistake: one sentence with what is wrong, which value, and the way out."""


class DefembError(Exception):
    """Root of all errors that a user can put right; the app and the command line show the message alone."""


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


class ExportError(DefembError):
    """An export cannot be written where, or as, the user asked."""


def first_line(exc: Exception) -> str:
    """Return the first line of a foreign error's message, its kind if it has none: what one sentence has room for."""
    return str(exc).strip().splitlines()[0][:160] if str(exc).strip() else type(exc).__name__
