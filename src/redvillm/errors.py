"""The one error tree of redvillm.

Every message says what was wrong, what would have been legal, and what to do next; the command line prints it as one line.
This module knows nothing of any library: the code that meets a foreign exception translates it.

    RedvillmError
    |-- OptionsError            an option or argument outside its legal values
    |   `-- QuestionError       an empty, oversized or undecodable question
    |-- ContextOverflowError    prompt + answer do not fit the context of the decoder
    |-- SourceError             a video source
    |   |-- SourceNotFoundError     no such file, camera or address
    |   |-- SourceFormatError       opened, but not a readable video
    |   `-- SourceLostError         it was there and went away
    |-- BundleError             a bundle on disk
    |   |-- BundleFileError         a missing, altered or unexpected file
    |   |-- BundleSchemaError       a manifest that is not readable by this version
    |   `-- BundleTargetError       a bundle made for another target
    |-- ExportError             an export that cannot be done
    |   `-- ParityError             an exported stage differs from its reference
    |-- FetchError              a download
    |   |-- OfflineError            nothing reachable
    |   `-- ChecksumError           other bytes than the pinned ones
    |-- BackendError            a provider, library or device that is missing or is not what was asked for
    |-- StorageError            the disk is full or not writable
    `-- StreamClosedError       a question to a stream that was closed
"""


class RedvillmError(Exception):
    """Base of every error that redvillm raises on purpose."""


class OptionsError(RedvillmError, ValueError):
    """An option or argument outside its legal values."""


class QuestionError(OptionsError):
    """An empty, oversized or undecodable question."""


class ContextOverflowError(RedvillmError):
    """Prompt and answer together do not fit the decoder's context."""


class SourceError(RedvillmError):
    """A video source that cannot be used."""


class SourceNotFoundError(SourceError):
    """No such file, camera or address."""


class SourceFormatError(SourceError):
    """The source was opened but is not a readable video."""


class SourceLostError(SourceError):
    """The source was delivering frames and went away."""


class BundleError(RedvillmError):
    """A bundle that cannot be used."""


class BundleFileError(BundleError):
    """A bundle with a missing, altered or unexpected file."""


class BundleSchemaError(BundleError):
    """A manifest that this version cannot read."""


class BundleTargetError(BundleError):
    """A bundle made for another target than the one asked for."""


class ExportError(RedvillmError):
    """An export that cannot be done."""


class ParityError(ExportError):
    """An exported stage differs from its reference by more than its threshold."""


class FetchError(RedvillmError):
    """A download that did not succeed."""


class OfflineError(FetchError):
    """No package index or hub could be reached."""


class ChecksumError(FetchError):
    """A download whose bytes are not the pinned ones."""


class BackendError(RedvillmError):
    """A provider, library or device that is missing or is not the one asked for."""


class StorageError(RedvillmError):
    """The disk is full or not writable."""


class StreamClosedError(RedvillmError):
    """A question was put to a stream that had been closed."""
