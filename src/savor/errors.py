"""The errors Savor raises on purpose; each message names the input, what is wrong with it and the way out.

```
SavorError
├── DataError       a data set, a recipe file or a split list cannot be read as it stands
├── PhotoError      one photo is missing, damaged, too large or of an unsupported kind
├── EncoderError    an encoder is unknown, not installed, or its files are incomplete
├── FeaturesError   a feature folder is unfinished, damaged or made by something else
├── MethodError     a run that cannot be loaded, or a method that cannot go on
│   └── OptionError an option a method or the training loop does not know, or a bad value for one
├── ProtocolError   an evaluation that cannot be carried out as asked
├── VectorIndexError an index that is damaged, or made by another model
├── ServiceError    a server that cannot be reached, or refuses
└── UsageError      the call itself is off: a missing or contradictory argument
```
"""


class SavorError(Exception):
    """Base class: catching it catches every error that Savor raises on purpose."""


class DataError(SavorError):
    """A data set, a recipe file or a split list cannot be read as it stands."""


class PhotoError(SavorError):
    """One photo is missing, damaged, too large or of an unsupported kind."""


class EncoderError(SavorError):
    """An encoder is unknown, not installed, or its files are incomplete."""


class FeaturesError(SavorError):
    """A feature folder is unfinished, damaged, or made by something else than what is asked for."""


class MethodError(SavorError):
    """A run cannot be loaded, or a method cannot go on."""


class OptionError(MethodError):
    """An option that neither the method nor the training loop knows, or a value out of range."""


class ProtocolError(SavorError):
    """An evaluation that cannot be carried out as asked, such as a pool larger than the split."""


class VectorIndexError(SavorError):
    """An index is damaged, or its vectors come from another model."""


class ServiceError(SavorError):
    """A server cannot be reached, or refuses what it is asked for.

    Attributes:
        code: of the server's error, such as `bad_photo`; `unreachable` where there was no answer.
        status: of its answer; 0 where there was none.
    """

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class UsageError(SavorError):
    """The call itself is off: a missing, unknown or contradictory argument."""
